"""Issue a client's certificate: who it is, and in which role.

The user stands in the common name; the role in an extension of its own and in the
organizational unit, so that it is found by either kind of policy. The files are for
`jsched-cli`: USER.toml names the others, and the server. All of them go to the user, and
nobody else; USER.key is best removed here then. Nothing is ever overwritten.
"""

from __future__ import annotations

import argparse

from jsched.ca import writing
from jsched.ca.leaves import issue_client
from jsched.certificates import LEAF_LIFETIME
from jsched.commands.certs import options
from jsched.commands.certs.report import say_issued
from jsched.config import split_address

EXAMPLES = """
jsched certs client --user alice --role user
jsched certs client --user ci@example.com --role admin --server build7.example.com:50051 --days 30
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add who it is for and what the certificate is to be like."""
    options.add_dir(parser)
    parser.add_argument("--user", metavar="U", required=True, help="the user's name")
    parser.add_argument("--role", metavar="R", required=True, help="the role, one that the server's policy knows")
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        help="the server that USER.toml names (the first host of the set's own server, port 50051)",
    )
    options.add_key(parser)
    options.add_days(parser, f"{LEAF_LIFETIME.days}, or until its CA ends")
    options.add_out(parser, "the set's clients/USER")


def run(args: argparse.Namespace) -> int:
    """Issue the certificate and write its files."""
    root, key_type, days = options.set_directory(args), options.key_type(args), options.days(args)
    if args.server is not None:
        split_address(args.server)
    with writing.locked(root):
        issued = issue_client(
            root, args.user, args.role, server=args.server, key_type=key_type, days=days, out=args.out
        )
    say_issued(f"a certificate for {args.user}, role {args.role}", issued)
    return 0
