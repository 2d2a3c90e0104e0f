"""Which certificate a renewal is of: the one that lies where the new one goes, never just any of that name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from jsched import certificate_files
from jsched.ca import layout
from jsched.ca.index import Entry, Kind, State, entries, standing
from jsched.ca.selection import by_serial
from jsched.certificates.issuing import OF_THE_KEYS
from jsched.certificates.keys import public_bytes
from jsched.errors import FailedPrecondition, NotFound

_GONE = (State.REVOKED, State.UNLISTED, State.UNTRUSTED)


def predecessor(root: Path, what: str, *, out: Path | None, keep_key: bool) -> tuple[Entry, Path]:
    """Return the certificate that a name or a serial number means in a renewal, and the directory of its files.

    Where its file lies in that directory it is that one, or the newest that says the same. Raises
    NotFound if there is none, FailedPrecondition if all were revoked, and, with the choices, if
    it is not settled which: the new one would have another's role, hosts or, with `keep_key`, key.
    """
    issued = entries(root)
    asked = [entry for entry in issued if entry.name == what] or by_serial(issued, what)
    if not asked:
        raise NotFound(
            f"no certificate for {what!r} was issued in {root}", obj=what, hint="see jsched certs list, or give --dir"
        )
    name, kind = asked[-1].name, asked[-1].kind
    place = out or (layout.server_place(root, name) if kind is Kind.SERVER else layout.client_place(root, name))
    path = place / f"{layout.stem(kind is Kind.SERVER, name)}.crt"
    now, judge = datetime.now(UTC), standing(root)
    good = [one for one in asked if one.kind is kind and judge.state(one.certificate, now) not in _GONE]
    if not good:
        raise FailedPrecondition(
            f"every certificate for {what!r} was revoked, or is of a CA that is gone",
            obj=what,
            hint=f"move {path} and {path.with_suffix('.key').name} away, then issue another: {issue_again(asked[-1])}",
        )
    if path.exists():
        there = certificate_files.read_certificates(path)[0]
        fitting = [one for one in good if _says(one.certificate) == _says(there)]
        if keep_key:
            fitting = [one for one in fitting if _key(one.certificate) == _key(there)]
        if not fitting:
            raise _unsettled(
                name, f"{path} is not one of those, or was revoked", good, f"--out DIR, or move {path.name} away"
            )
        exact = [one for one in fitting if one.certificate == there]
        return (exact or fitting)[-1], place
    if len({_says(one.certificate) for one in good}) > 1:
        raise _unsettled(name, f"{path} is not there to tell which", good)
    if keep_key:
        good = _with_key(name, good, path)
    return good[-1], place


def issue_again(entry: Entry) -> str:
    """Return the command that issues a certificate that says the same, under the same name."""
    if entry.kind is Kind.CLIENT:
        return f"jsched certs client --user {entry.name} --role {entry.role or 'ROLE'}"
    hosts = " ".join(f"--host {host}" for host in entry.hosts) or "--host HOST"
    return f"jsched certs server {hosts}" + ("" if entry.name == layout.SERVER else f" --name {entry.name}")


def _with_key(name: str, good: list[Entry], path: Path) -> list[Entry]:
    """Return the certificates of the one key that can be meant."""
    key_path = path.with_suffix(".key")
    if len({_key(one.certificate) for one in good}) == 1:
        return good
    kept = public_bytes(certificate_files.read_key(key_path).public_key()) if key_path.exists() else None
    fitting = [one for one in good if _key(one.certificate) == kept]
    if not fitting:
        raise _unsettled(name, f"neither {path} nor its key is there to tell which", good)
    return fitting


def _unsettled(name: str, why: str, good: Sequence[Entry], instead: str = "") -> FailedPrecondition:
    choices = "; ".join(f"{one.serial[:12]} ({one.describe()}, until {one.until:%Y-%m-%d})" for one in good)
    which = "with --out DIR where that lies, or by its serial number" if len(good) > 1 else "by its serial number"
    return FailedPrecondition(
        f"the certificates for {name} that can be renewed are {choices}; {why}",
        obj=name,
        hint=f"say which, {which}: jsched certs renew SERIAL" + (f", and {instead}" if instead else ""),
    )


def _says(certificate: x509.Certificate) -> tuple[bytes, frozenset[tuple[str, bool, bytes]]]:
    """Return all that a certificate says besides its validity, serial number and keys."""
    try:
        extensions = [one for one in certificate.extensions if not isinstance(one.value, OF_THE_KEYS)]
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm):
        # Of what can't be read nothing is known to be the same.
        return certificate.tbs_certificate_bytes, frozenset()
    said = frozenset((one.oid.dotted_string, one.critical, one.value.public_bytes()) for one in extensions)
    return certificate.subject.public_bytes(), said


def _key(certificate: x509.Certificate) -> bytes:
    return public_bytes(certificate.public_key())
