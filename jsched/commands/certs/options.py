"""Flags that several verbs have, and what their values mean."""

from __future__ import annotations

import argparse
from pathlib import Path

from jsched import config_sources
from jsched.ca import layout
from jsched.certificates import KeyType, parse_key_type
from jsched.errors import InvalidArgument

_HERE = Path("certs")
# A certificate's end has four digits for its year (RFC 5280, section 4.1.2.5).
_MOST_DAYS = 100 * 365


def add_dir(parser: argparse.ArgumentParser) -> None:
    """Add where the set is."""
    parser.add_argument(
        "--dir",
        metavar="DIR",
        type=Path,
        help="the set's directory (what `jsched serve` would use: JSCHED_CERTS, certs_dir in its configuration file, "
        "or its default; ./certs if that is not there)",
    )


def set_directory(args: argparse.Namespace, *, to_make: bool = False) -> Path:
    """Return the directory of the set.

    Raises InvalidArgument for a configuration file that is wrong, FailedPrecondition if there
    is no set and none is to be made.
    """
    root = args.dir if args.dir is not None else config_sources.load({}).certs_dir
    assert isinstance(root, Path)
    if to_make:
        return root
    if args.dir is None and not root.exists() and _HERE.is_dir():
        root = _HERE
    layout.check_there(root)
    return root


def add_key(parser: argparse.ArgumentParser, *, for_ca: bool = False, default: str | None = "p256") -> None:
    """Add the type of the key that is made."""
    kinds = "p256, rsa, rsa:BITS" + (" or ed25519" if for_ca else "")
    parser.add_argument(
        "--key", metavar="TYPE", default=default, help=f"type of the key: {kinds} ({default or 'as before'})"
    )


def key_type(args: argparse.Namespace, *, for_ca: bool = False) -> KeyType:
    """Return the type of key that was asked for; raises InvalidArgument."""
    return parse_key_type(args.key, for_ca=for_ca)


def add_days(parser: argparse.ArgumentParser, default: str) -> None:
    """Add how long a certificate is valid."""
    parser.add_argument("--days", metavar="N", type=int, help=f"how long it is valid ({default})")


def days(args: argparse.Namespace) -> int | None:
    """Return the days that were asked for, None if none were; raises InvalidArgument."""
    if args.days is not None and not 1 <= args.days <= _MOST_DAYS:
        raise InvalidArgument(f"{args.days} days are not 1 to {_MOST_DAYS}", obj="days")
    return None if args.days is None else int(args.days)


def add_out(parser: argparse.ArgumentParser, default: str) -> None:
    """Add where a certificate's files go."""
    parser.add_argument("--out", metavar="DIR", type=Path, help=f"where its files go, made if not there ({default})")


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the choice between text and JSON."""
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", metavar="FORMAT", help="text or json"
    )
