"""Revoke certificates: no server lets them in any more.

WHAT is a user (all certificates of that name that are still good), a serial number as
`jsched certs list` and the audit log show it (or the first 8 digits and more, if one alone
begins so), or a certificate's file. The revocation list, client-ca.crl, is written anew: a
server that reads it in this directory ends that user's calls within a second; give a copy
to all others. Revoking twice is harmless.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jsched.ca import layout, writing
from jsched.ca.authorities import load
from jsched.ca.index import Entry, Kind, entry_of
from jsched.ca.leaves import refresh_copies
from jsched.ca.predecessor import issue_again
from jsched.ca.revoking import lost, revoke
from jsched.ca.selection import select
from jsched.certificates.revocation import REASONS
from jsched.commands.certs import options
from jsched.commands.certs.plain import plain

EXAMPLES = """
jsched certs revoke alice
jsched certs revoke 5d1f20c4a8 --reason key-compromise
jsched certs revoke old/alice.crt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is to be revoked and why."""
    parser.add_argument("what", metavar="WHAT", help="a name, a serial number, or a certificate's file")
    options.add_dir(parser)
    parser.add_argument(
        "--reason",
        choices=tuple(REASONS),
        default="unspecified",
        metavar="REASON",
        help=f"what the list says why: {', '.join(REASONS)} (unspecified)",
    )


def run(args: argparse.Namespace) -> int:
    """Revoke, and say what was and what had been."""
    root = options.set_directory(args)
    with writing.locked(root):
        chosen = select(root, args.what)
        for kind, ca in ((Kind.CLIENT, layout.CLIENT_CA), (Kind.SERVER, layout.SERVER_CA)):
            if of_kind := [entry for entry in chosen if entry.kind is kind]:
                authority = load(root, ca)
                back = lost(root, authority)
                new = revoke(root, authority, [entry.certificate for entry in of_kind], REASONS[args.reason])
                for entry in of_kind:
                    if entry.certificate not in back:
                        _say(entry, entry.certificate in new)
                _say_back(root / f"{ca}.crl", [entry_of(certificate) for certificate in back])
                _say_list(root, kind, ca, of_kind)
        refreshed = refresh_copies(root)
    if refreshed:
        print(f"copies of it are new in {', '.join(map(str, refreshed))}")
    return 0


def _say(entry: Entry, is_new: bool) -> None:
    what = f"certificate {entry.serial} of {plain(entry.name)}, valid until {entry.until:%Y-%m-%d}"
    print(f"revoked {what}" if is_new else f"{what}, was revoked before")


def _say_back(path: Path, back: list[Entry]) -> None:
    for entry in back:
        print(f"revoked again certificate {entry.serial} of {plain(entry.name)}: {path.name} had lost it")
    if back:
        print(
            f"another program has written {path}: make revocation lists with one alone "
            "(docs/certificates.md, With openssl alone)"
        )


def _say_list(root: Path, kind: Kind, ca: str, revoked: list[Entry]) -> None:
    path = root / f"{ca}.crl"
    if kind is Kind.CLIENT:
        print(f"next: give {path} to every server that does not read it here")
        return
    print(f"{path} says so, but jsched's clients don't read it: they trust every certificate of the server CA")
    print("next: if the key was stolen, a new server CA has to take over, soon:")
    steps = [
        "jsched certs renew server-ca, and give the new server-ca.crt to every client",
        *(_replace_server(root, entry) for entry in {entry.name: entry for entry in revoked}.values()),
        "jsched certs renew NAME for every other server",
        "jsched certs renew server-ca --finish, and give server-ca.crt to every client again",
    ]
    for number, step in enumerate(steps, start=1):
        print(f"  {number}. {step}")


def _replace_server(root: Path, entry: Entry) -> str:
    place = layout.server_place(root, entry.name)
    return f"move server.crt and server.key in {place} away, then {plain(issue_again(entry))}"
