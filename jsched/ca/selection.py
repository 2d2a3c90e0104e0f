"""Which certificates somebody means who gives a name, a serial number or a file."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from jsched import certificate_files
from jsched.ca import layout
from jsched.ca.index import Entry, State, authorities, entries, entry_of, has_signed, is_ca, record, standing
from jsched.errors import FailedPrecondition, InvalidArgument, NotFound

_SERIAL = re.compile(r"[0-9a-f]{8,40}")


def select(root: Path, what: str) -> list[Entry]:
    """Return the certificates that `what` means, in a set that is locked, at least one.

    A name means all of its certificates that have not ended, revoked ones among them. A
    certificate from a file that was not issued here, but by a CA of the set, is written down.
    Raises NotFound if it means nothing, FailedPrecondition for what is good for nothing
    anyway, InvalidArgument for a CA and for a serial number that several begin with.
    """
    if what in layout.CAS:
        raise _is_ca(what)
    issued = entries(root)
    if named := [entry for entry in issued if entry.name == what]:
        return _still_good(root, what, named)
    if numbered := by_serial(issued, what):
        return numbered
    if Path(what).is_file():
        return [_from_file(root, Path(what), issued)]
    raise NotFound(
        f"{what!r} is no name or serial number of a certificate issued in {root}, and no file",
        obj=what,
        hint="see jsched certs list, or give --dir",
    )


def _still_good(root: Path, name: str, named: list[Entry]) -> list[Entry]:
    now, judge = datetime.now(UTC), standing(root)
    gone = (State.EXPIRED, State.UNTRUSTED)
    if good := [entry for entry in named if judge.state(entry.certificate, now) not in gone]:
        return good
    raise FailedPrecondition(f"no certificate for {name!r} is accepted any more: all have ended", obj=name)


def by_serial(issued: list[Entry], what: str) -> list[Entry]:
    """Return the certificate whose serial number is `what` or begins so, none if there is none.

    Raises InvalidArgument if several begin so.
    """
    serial = what.lower().removeprefix("0x").replace(":", "").lstrip("0")
    if not _SERIAL.fullmatch(serial):
        return []
    found = [entry for entry in issued if entry.serial.startswith(serial)]
    if len(found) > 1:
        raise InvalidArgument(f"{len(found)} serial numbers begin with {serial}", obj=what, hint="give more digits")
    return found


def _from_file(root: Path, path: Path, issued: list[Entry]) -> Entry:
    certificate = certificate_files.read_certificates(path)[0]
    if is_ca(certificate):
        raise _is_ca(str(path))
    if not any(has_signed(ca.certificate, certificate) for ca in authorities(root)):
        raise FailedPrecondition(f"the certificate {path} is not signed by a CA in {root}", obj=str(path))
    if certificate not in [entry.certificate for entry in issued]:
        record(root, certificate)
    return entry_of(certificate)


def _is_ca(what: str) -> InvalidArgument:
    return InvalidArgument(
        f"{what} is a CA and can't be revoked",
        obj=what,
        hint="end the trust in it: jsched certs renew server-ca, or client-ca, and then again with --finish",
    )
