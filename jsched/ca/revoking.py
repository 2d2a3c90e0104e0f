"""Revoking: the revocation list beside each CA, and what the index remembers of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from jsched import certificate_files
from jsched.ca import layout, marks, writing
from jsched.ca.authorities import Authority
from jsched.ca.index import has_signed
from jsched.certificates.issuing import Issued
from jsched.certificates.revocation import is_revoked, is_signed_by, make_revocation_list, number, to_pem
from jsched.errors import FailedPrecondition


def revoke(
    root: Path,
    authority: Authority,
    certificates: Sequence[x509.Certificate] = (),
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
) -> list[x509.Certificate]:
    """Put certificates into the list of the CA that has signed each, and return those that were not there yet.

    Afterwards there is a list of every CA that is trusted and has not ended, and it has again what
    was revoked here before and had been lost: see `lost`. Raises FailedPrecondition if a
    certificate is of another CA, or its CA's key is not there; then nothing is changed.
    """
    previous = _read(root, authority)
    marked = marks.marked(root)
    certificates = list(dict.fromkeys((*certificates, *_lost(authority, previous, marked))))
    signers = {certificate: _signer(authority, certificate) for certificate in certificates}
    new = [one for one in certificates if not _revoked(previous, signers[one], one)]
    lists: list[x509.CertificateRevocationList] = []
    for ca in authority.able:
        last = _newest(previous, ca.certificate)
        serials = [one.serial_number for one in new if signers[one] is ca]
        if serials or (last is None and not _has_ended(ca)):
            # A server takes no list whose number is not above that of the one it has.
            after = max((listed for one, listed in marked.items() if has_signed(ca.certificate, one)), default=0)
            last = make_revocation_list(ca, last, serials, reason, after=after)
        if last is not None:
            _mark(root, ca, last, marked, [one for one in new if signers[one] is ca])
        lists += [last] if last is not None else []
    lists += [last for ca in authority.without_key if (last := _newest(previous, ca))]
    content = b"".join(map(to_pem, lists))
    if content != b"".join(map(to_pem, previous)):
        writing.put(root, {_name(authority): content}, replace=True)
    return new


def lost(root: Path, authority: Authority) -> list[x509.Certificate]:
    """Return what was revoked here and is in no list of a CA that can sign one: another program has written it."""
    return _lost(authority, _read(root, authority), marks.marked(root))


def follow_bundle(root: Path, authority: Authority) -> None:
    """After a CA came or went: lists of those alone that are trusted, and of each; nothing if none was ever made."""
    if (root / _name(authority)).exists():
        revoke(root, authority)


def _lost(
    authority: Authority, lists: Sequence[x509.CertificateRevocationList], marked: Mapping[x509.Certificate, int]
) -> list[x509.Certificate]:
    return [
        certificate
        for certificate in marked
        for ca in authority.able
        if has_signed(ca.certificate, certificate) and not _revoked(lists, ca, certificate)
    ]


def _mark(
    root: Path,
    ca: Issued,
    crl: x509.CertificateRevocationList,
    marked: Mapping[x509.Certificate, int],
    new: Sequence[x509.Certificate],
) -> None:
    """Have the index remember what a list says, also what it said before there were marks."""
    known = {certificate.serial_number for certificate in (*marked, *new)}
    paths = [root / layout.ISSUED / f"{one.serial_number:x}.crt" for one in crl if one.serial_number not in known]
    older = [certificate_files.read_certificates(path)[0] for path in paths if path.exists()]
    marks.mark(root, [*new, *(one for one in older if has_signed(ca.certificate, one))], number(crl))


def _read(root: Path, authority: Authority) -> list[x509.CertificateRevocationList]:
    path = root / _name(authority)
    return certificate_files.read_revocation_lists(path) if path.exists() else []


def _name(authority: Authority) -> str:
    return f"{authority.name}.crl"


def _signer(authority: Authority, certificate: x509.Certificate) -> Issued:
    for ca in authority.able:
        if has_signed(ca.certificate, certificate):
            return ca
    serial = f"{certificate.serial_number:x}"
    if any(has_signed(ca, certificate) for ca in authority.without_key):
        raise FailedPrecondition(f"the key of the CA that has signed certificate {serial} is not there", obj=serial)
    raise FailedPrecondition(f"certificate {serial} is not signed by a CA of this set", obj=serial)


def _newest(
    lists: Sequence[x509.CertificateRevocationList], ca: x509.Certificate
) -> x509.CertificateRevocationList | None:
    own = [one for one in lists if is_signed_by(one, ca)]
    return max(own, key=number, default=None)


def _revoked(lists: Sequence[x509.CertificateRevocationList], ca: Issued, certificate: x509.Certificate) -> bool:
    newest = _newest(lists, ca.certificate)
    return newest is not None and is_revoked(newest, certificate.serial_number)


def _has_ended(ca: Issued) -> bool:
    return ca.certificate.not_valid_after_utc <= datetime.now(UTC)
