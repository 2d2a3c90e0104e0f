"""Issue a certificate again, or let a new CA take over from an old one.

NAME is a user, a server's name, `server`, or one of the CAs, `server-ca` and `client-ca`.
A server's or client's new certificate says the same as the old one, has a new key, and
takes its place; a server that is running takes it up without a restart. The old one, which
stays valid until it ends or is revoked, is the one that lies where the new one goes. Where
none does, and those of that name differ, give the serial number of one in place of NAME.

A new CA signs from now on, and the old one is trusted beside it. Give the new
client-ca.crt to all servers, or the new server-ca.crt to all clients, then renew all that
the old one has signed; when everybody has theirs, --finish ends the trust in the old one.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from jsched.ca import layout, rollover, writing
from jsched.ca.authorities import load, old_key_path
from jsched.ca.index import Kind
from jsched.ca.leaves import refresh_copies, renew_leaf
from jsched.certificates import CA_LIFETIME, LEAF_LIFETIME, parse_key_type
from jsched.certificates.keys import KeyType, type_of
from jsched.certificates.names import common_name
from jsched.commandline import UsageError
from jsched.commands.certs import options
from jsched.commands.certs.plain import plain
from jsched.commands.certs.report import say_issued

EXAMPLES = """
jsched certs renew server
jsched certs renew alice --keep-key
jsched certs renew client-ca
jsched certs renew client-ca --finish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name and what may differ from before."""
    parser.add_argument("name", metavar="NAME", help="a user, a server's name, a serial number, server-ca or client-ca")
    options.add_dir(parser)
    parser.add_argument("--keep-key", action="store_true", help="for the same key; it need not be here")
    options.add_key(parser, for_ca=True, default=None)
    options.add_days(parser, f"{LEAF_LIFETIME.days}, or until its CA ends; a CA: {CA_LIFETIME.days}")
    options.add_out(parser, "where the old ones are")
    parser.add_argument("--finish", action="store_true", help="of a CA: trust the old one no more")
    parser.add_argument("--force", action="store_true", help="with --finish: though some have nothing of the new one")


def run(args: argparse.Namespace) -> int:
    """Renew a leaf, or begin or finish a CA's taking over."""
    is_ca = args.name in layout.CAS
    _check_flags(args, is_ca)
    root = options.set_directory(args)
    with writing.locked(root):
        if not is_ca:
            _renew_leaf(args, root)
        elif not _complete(args, root):
            (_finish if args.finish else _begin)(args, root)
    return 0


def _check_flags(args: argparse.Namespace, is_ca: bool) -> None:
    if args.keep_key and args.key:
        raise UsageError("--keep-key and --key are contrary to each other")
    if args.finish and not is_ca:
        raise UsageError("--finish is for a CA alone")
    if args.force and not args.finish:
        raise UsageError("--force is for --finish alone")
    if is_ca and (args.keep_key or args.out):
        raise UsageError("a CA gets a new key, in its place: --keep-key and --out are for servers and clients")
    if args.finish and (args.key or args.days):
        raise UsageError("--finish makes nothing: --key and --days are for the beginning")


def _renew_leaf(args: argparse.Namespace, root: Path) -> None:
    key_type = parse_key_type(args.key) if args.key else None
    issued, old = renew_leaf(
        root, args.name, keep_key=args.keep_key, key_type=key_type, days=options.days(args), out=args.out
    )
    say_issued(f"a new certificate for {plain(old.name)}, {plain(old.describe())}", issued)
    revoke = f": jsched certs revoke {old.serial}" if old.kind is Kind.CLIENT else ""
    print(f"the old one is valid until {old.until:%Y-%m-%d}, unless it is revoked{revoke}")


def _complete(args: argparse.Namespace, root: Path) -> bool:
    """Do what is left of a run that was killed after the CAs had changed; return whether anything was."""
    if rollover.takes_over(root, args.name) is args.finish:
        return False
    crl = root / f"{args.name}.crl"
    before = crl.read_bytes() if crl.exists() else b"", old_key_path(root, args.name).exists()
    rollover.settle(root, args.name)
    after = crl.read_bytes() if crl.exists() else b"", old_key_path(root, args.name).exists()
    refreshed = _say_refreshed(root)
    if before == after and not refreshed:
        return False
    print(f"{args.name} had changed already; what the run before left undone is done")
    return True


def _begin(args: argparse.Namespace, root: Path) -> None:
    days = options.days(args)
    lifetime = CA_LIFETIME if days is None else timedelta(days=days)
    new = rollover.begin(root, args.name, _key_type(args, root), lifetime)
    name, until = plain(common_name(new.certificate.subject)), new.certificate.not_valid_after_utc
    print(f"made {name}, valid until {until:%Y-%m-%d}; {args.name}.crt in {root} has it and the old one")
    _say_next(args.name, "renew every certificate of the old one; then jsched certs renew {name} --finish")
    _say_refreshed(root)


def _finish(args: argparse.Namespace, root: Path) -> None:
    dropped = rollover.finish(root, args.name, force=args.force)
    for ca in dropped:
        print(f"{plain(common_name(ca.subject))} is trusted no more; {args.name}.crt in {root} has the new one alone")
    _say_next(args.name, "that ends it")
    _say_refreshed(root)


def _key_type(args: argparse.Namespace, root: Path) -> KeyType:
    if args.key:
        return parse_key_type(args.key, for_ca=True)
    return type_of(load(root, args.name).current.key.public_key())


def _say_next(name: str, then: str) -> None:
    whom = "server" if name == layout.CLIENT_CA else "client"
    print(f"next: give {name}.crt to every {whom}; {then.format(name=name)}")


def _say_refreshed(root: Path) -> bool:
    """Write the copies anew that are not as the set is; return whether there were any."""
    refreshed = refresh_copies(root)
    if refreshed:
        print(f"copies of it are new in {', '.join(map(str, refreshed))}")
    return bool(refreshed)
