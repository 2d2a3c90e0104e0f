"""Make a new set of certificates: a CA that signs servers' certificates and one that signs clients'.

Servers trust the client CA alone, clients the server CA alone, so that no client's
certificate can pass for a server's. Who has client-ca.key decides who may do what: the
set's directory belongs where only those can read it who may decide that. Nothing is ever
overwritten.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

from jsched.ca import authorities, layout, writing
from jsched.certificates import CA_LIFETIME
from jsched.commands.certs import options

EXAMPLES = """
jsched certs init --dir ~/jsched-ca
jsched certs init --dir ~/jsched-ca --key ed25519 --days 1825 --name "example.com build hosts"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the directory and what the CAs are to be like."""
    options.add_dir(parser)
    options.add_key(parser, for_ca=True)
    options.add_days(parser, str(CA_LIFETIME.days))
    parser.add_argument(
        "--name",
        metavar="NAME",
        default="jsched",
        help="what the CAs' names begin with (jsched, as in jsched client CA)",
    )


def run(args: argparse.Namespace) -> int:
    """Make the two CAs."""
    root = options.set_directory(args, to_make=True)
    key_type = options.key_type(args, for_ca=True)
    days = options.days(args)
    lifetime = CA_LIFETIME if days is None else timedelta(days=days)
    with writing.locked(root, create=True):
        made = authorities.make(root, args.name, key_type, lifetime)
    until = made[layout.CLIENT_CA].certificate.not_valid_after_utc
    print(f"made two CAs in {root}, valid until {until:%Y-%m-%d}")
    print(f"  {layout.SERVER_CA}.crt  signs servers' certificates; clients trust it")
    print(f"  {layout.CLIENT_CA}.crt  signs clients' certificates; servers trust it")
    print("their keys, beside them, are what all trust rests on: let nobody else read them, and keep a copy")
    return 0
