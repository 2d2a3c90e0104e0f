"""A new CA takes over from an old one: both are trusted, until everybody has a certificate of the new one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from jsched.ca import layout, revoking, writing
from jsched.ca.authorities import PURPOSES, load, old_key_path
from jsched.ca.index import Entry, Kind, State, entries, has_signed, standing
from jsched.ca.predecessor import issue_again
from jsched.certificates import Issued, KeyType, make_ca
from jsched.certificates.issuing import to_pem
from jsched.certificates.keys import key_pem
from jsched.certificates.names import common_name
from jsched.errors import FailedPrecondition

_GENERATION = re.compile(r"(.*) ([0-9]{1,6})")
_GOOD = (State.VALID, State.EXPIRES_SOON)


def begin(root: Path, name: str, key_type: KeyType, lifetime: timedelta) -> Issued:
    """Make a new CA in a set that is locked: it signs from now on, and is trusted beside the old one.

    A run that is killed in the middle leaves the old one signing. Raises FailedPrecondition
    if one takes over already.
    """
    old = load(root, name)
    if len(old.certificates) > 1:
        raise FailedPrecondition(
            f"{name}.crt in {root} holds more than one CA: one is taking over already",
            obj=name,
            hint=f"when all have new certificates: jsched certs renew {name} --finish",
        )
    new = make_ca(_next_name(old.current.certificate, name), key_type=key_type, lifetime=lifetime)
    bundle = new.certificate_pem + old.current.certificate_pem
    # In this order: the key that signs is always one of a certificate in the bundle.
    writing.put(
        root,
        {old_key_path(root, name).name: key_pem(old.current.key), f"{name}.crt": bundle, f"{name}.key": new.key_pem},
        replace=True,
    )
    settle(root, name)
    return new


def finish(root: Path, name: str, *, force: bool) -> list[x509.Certificate]:
    """Trust the current CA alone, forget the older one's key, and return the CAs that are trusted no more.

    Raises FailedPrecondition if none takes over, or, without `force`, naming those who have
    no good certificate of the current one. A user who was revoked needs none; a server that was
    does: what was revoked of it is its key, and without a certificate nobody reaches it.
    """
    authority = load(root, name)
    dropped = authority.certificates[1:]
    if not dropped:
        raise FailedPrecondition(
            f"{name}.crt in {root} holds one CA alone: there is nothing to finish",
            obj=name,
            hint=f"begin with jsched certs renew {name}",
        )
    if not force and (left := _left_behind(root, name, authority.current.certificate)):
        raise FailedPrecondition(
            f"{', '.join(map(_describe, left))} {'has' if len(left) == 1 else 'have'} no certificate of the new CA yet",
            obj=name,
            hint=_advice(root, name, left),
        )
    # The bundle first: a server must never see an old certificate that is trusted and not revoked any more.
    writing.put(root, {f"{name}.crt": to_pem(authority.current.certificate)}, replace=True)
    settle(root, name)
    return dropped


def settle(root: Path, name: str) -> None:
    """Leave no key of a CA that is trusted no more, and lists as the CAs are: what comes after these have changed."""
    authority = load(root, name)
    if len(authority.certificates) == 1:
        old_key_path(root, name).unlink(missing_ok=True)
    revoking.follow_bundle(root, authority)


def takes_over(root: Path, name: str) -> bool:
    """Return whether a CA takes over from another."""
    return len(load(root, name).certificates) > 1


@dataclass(frozen=True, slots=True)
class _LeftBehind:
    """Who has nothing of the new CA; `revoked` if that can't be renewed, and has to be issued again."""

    last: Entry
    revoked: bool


def _left_behind(root: Path, name: str, current: x509.Certificate) -> list[_LeftBehind]:
    kind = Kind.SERVER if name == layout.SERVER_CA else Kind.CLIENT
    now, judge = datetime.now(UTC), standing(root)
    issued = [(entry, judge.state(entry.certificate, now)) for entry in entries(root) if entry.kind is kind]
    good = {entry.name: entry for entry, state in issued if state in _GOOD}
    ready = {entry.name for entry, state in issued if state in _GOOD and has_signed(current, entry.certificate)}
    left = {one: _LeftBehind(entry, False) for one, entry in good.items()}
    if kind is Kind.SERVER:
        for entry, state in issued:
            if state in (State.REVOKED, State.UNLISTED) and entry.name not in good and entry.until > now:
                left[entry.name] = _LeftBehind(entry, True)
    return [left[one] for one in sorted(left) if one not in ready]


def _describe(one: _LeftBehind) -> str:
    return f"{one.last.name}, which was revoked," if one.revoked else one.last.name


def _advice(root: Path, name: str, left: list[_LeftBehind]) -> str:
    steps = []
    if any(not one.revoked for one in left):
        steps.append("jsched certs renew NAME for each, and hand it over")
    for one in left:
        if one.revoked:
            place = layout.server_place(root, one.last.name)
            steps.append(f"move server.crt and server.key in {place} away, then {issue_again(one.last)}")
    return f"{'; '.join(steps)}; or --finish --force: theirs are good for nothing then"


def _next_name(certificate: x509.Certificate, name: str) -> str:
    # Another name than the old one's: a revocation list tells its CA by name.
    old = common_name(certificate.subject) or f"jsched {PURPOSES[name]}"
    match = _GENERATION.fullmatch(old)
    return f"{match[1]} {int(match[2]) + 1}" if match else f"{old} 2"
