"""Issue a server's certificate, with the names and addresses under which clients reach it.

The files are what `jsched serve --certs` reads: server.crt, server.key, client-ca.crt and,
once there is one, client-ca.crl. Of a server in the set's own directory there is one; with
--name the files of another go to servers/NAME, to be handed over. Nothing is ever
overwritten.
"""

from __future__ import annotations

import argparse

from jsched.ca import layout, writing
from jsched.ca.leaves import issue_server
from jsched.certificates import LEAF_LIFETIME, LOCAL_HOSTS
from jsched.commands.certs import options
from jsched.commands.certs.report import say_issued

EXAMPLES = """
jsched certs server --host build7.example.com --host 10.1.2.3
jsched certs server --host build8.example.com --name build8 --key rsa:3072
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the hosts and what the certificate is to be like."""
    options.add_dir(parser)
    parser.add_argument(
        "--host",
        metavar="H",
        action="append",
        required=True,
        help=f"a name or address of the server, besides {', '.join(LOCAL_HOSTS)}; may be repeated",
    )
    parser.add_argument(
        "--name", metavar="NAME", default=layout.SERVER, help="what to call it in the set (server: the set's own)"
    )
    options.add_key(parser)
    options.add_days(parser, f"{LEAF_LIFETIME.days}, or until its CA ends")
    options.add_out(parser, "the set's directory, or its servers/NAME")


def run(args: argparse.Namespace) -> int:
    """Issue the certificate and write its files."""
    root, key_type, days = options.set_directory(args), options.key_type(args), options.days(args)
    with writing.locked(root):
        issued = issue_server(root, args.host, name=args.name, key_type=key_type, days=days, out=args.out)
    say_issued(f"the server's certificate for {', '.join(args.host)}", issued)
    return 0
