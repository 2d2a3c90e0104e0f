"""Which client certificates have been revoked: certificate revocation lists (RFC 5280, section 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from jsched import certificate_files
from jsched.errors import FailedPrecondition
from jsched.server.authorities import Authority, readable

_ONE_PROGRAM = (
    "put the newest list of each CA there, with all that was revoked and a number that is higher; "
    "one program alone may make the lists of a CA"
)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One CA's list; times are UTC. `number` is None if the list has none, `next_update` if it names no time.

    `digest` is the SHA-256 of what the CA has signed.
    """

    issuer: str
    number: int | None
    this_update: datetime
    next_update: datetime | None
    serials: frozenset[int]
    digest: bytes = field(repr=False)

    def is_older_than(self, other: RevocationList) -> bool:
        """Return whether the same CA has made this list before the other; their numbers count more than clocks."""
        if self.number is not None and other.number is not None and self.number != other.number:
            return self.number < other.number
        return self.this_update < other.this_update

    def objection(self, before: RevocationList) -> str:
        """Return why this list can't take the place of another of the same CA, "" if it can.

        A number stands for one list (RFC 5280, section 5.2.3). Of two that share it, one was made by
        a program that does not know what the other says: to take it would end revocations.
        """
        if self.is_older_than(before):
            return "is older than the one in use"
        if before.number is None or self.digest == before.digest:
            return ""
        if self.number is None:
            return f"has no number, and the one in use has number {before.number}"
        if self.number == before.number:
            return f"has number {self.number}, as the one in use, and says something else"
        return ""

    def __str__(self) -> str:
        count = len(self.serials)
        number = "" if self.number is None else f", number {self.number}"
        due = "" if self.next_update is None else f", the next is due {self.next_update:%Y-%m-%d %H:%M} UTC"
        return f"{count} certificate{'' if count == 1 else 's'} of {self.issuer} revoked{number}{due}"


@dataclass(frozen=True, slots=True)
class Revocations:
    """The lists that are in use, by their CA's key_id; and what they were read from."""

    by_authority: Mapping[bytes, RevocationList] = field(default_factory=dict)
    pem: bytes = field(default=b"", repr=False)
    authorities: tuple[Authority, ...] = ()


NO_REVOCATIONS = Revocations()


def revocations_in(
    content: bytes, path: Path, authorities: tuple[Authority, ...], before: Revocations = NO_REVOCATIONS
) -> Revocations:
    """Return the lists in what was read from a PEM file, and from `before` those of CAs that it has none of.

    Raises FailedPrecondition if one is not signed by a CA of `authorities`, is not a whole
    list of its CA, or is older than the one of `before`, or has its number and says something else.
    """
    found: dict[bytes, RevocationList] = {}
    for crl in certificate_files.revocation_lists_in(content, path):
        try:
            key_id, read = _read(crl, path, authorities)
        except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            raise FailedPrecondition(f"a revocation list in {path} can't be used: {error}", obj=str(path)) from None
        other = found.get(key_id)
        if other is not None and other.number == read.number is not None and other.digest != read.digest:
            raise FailedPrecondition(
                f"two revocation lists of {read.issuer} in {path} have number {read.number} and say different things",
                obj=str(path),
                hint=_ONE_PROGRAM,
            )
        if other is None or other.is_older_than(read):
            found[key_id] = read
    for key_id, read in found.items():
        known = before.by_authority.get(key_id)
        if known is not None and (objection := read.objection(known)):
            raise FailedPrecondition(
                f"the revocation list of {read.issuer} in {path} {objection}",
                obj=str(path),
                hint=_ONE_PROGRAM,
            )
    return Revocations(MappingProxyType({**before.by_authority, **found}), content, authorities)


def _read(
    crl: x509.CertificateRevocationList, path: Path, authorities: Sequence[Authority]
) -> tuple[bytes, RevocationList]:
    issuer = readable(crl.issuer)
    signer = next((one for one in authorities if _has_signed(one, crl)), None)
    if signer is None:
        raise FailedPrecondition(
            f"the revocation list of {issuer} in {path} is not signed by a CA in {certificate_files.CLIENT_CA}",
            obj=str(path),
            hint="take it out of the file, or put its CA's certificate into the other",
        )
    number = None
    for extension in crl.extensions:
        if isinstance(extension.value, x509.CRLNumber):
            number = extension.value.crl_number
        elif extension.critical:
            # A list of some of the CA's certificates, or of another CA's; it may not be used (section 5.2).
            raise FailedPrecondition(
                f"the revocation list of {issuer} in {path} has the critical extension {extension.oid.dotted_string}",
                obj=str(path),
                hint="give a whole list of the CA",
            )
    serials = frozenset(entry.serial_number for entry in crl)
    digest = hashlib.sha256(crl.tbs_certlist_bytes).digest()
    return signer.key_id, RevocationList(issuer, number, crl.last_update_utc, crl.next_update_utc, serials, digest)


def _has_signed(authority: Authority, crl: x509.CertificateRevocationList) -> bool:
    if crl.issuer != authority.certificate.subject or not _may_sign_lists(authority.certificate):
        return False
    key = authority.certificate.public_key()
    # Every type of key that a CA can have is one of those that sign lists, but their common type says less.
    return crl.is_signature_valid(key)  # type: ignore[arg-type]


def _may_sign_lists(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
