"""Making revocation lists (X.509 version 2 CRLs, RFC 5280, section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from jsched.certificates.issuing import BACKDATED, Issued
from jsched.certificates.keys import hash_for
from jsched.errors import FailedPrecondition

# The command line's words for the reasons that a leaf can be revoked for (RFC 5280, section 5.3.1).
REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
    "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
}


def make_revocation_list(
    ca: Issued,
    previous: x509.CertificateRevocationList | None = None,
    serials: Iterable[int] = (),
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
    *,
    after: int = 0,
) -> x509.CertificateRevocationList:
    """Make a CA's next revocation list: all that the previous one says, and these serial numbers.

    It has the next CRL number, which is above `after`, too, and the next one is due when the CA ends: a list that grows
    at revocations alone has no other moment at which it is out of date. Raises
    FailedPrecondition if that has passed.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    end = ca.certificate.not_valid_after_utc
    if end <= now:
        raise FailedPrecondition(f"the CA expired on {end:%Y-%m-%d}: nothing that it has signed is accepted any more")
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(_update(now, previous))
        .next_update(end)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(max(after, number(previous) if previous is not None else 0) + 1), critical=False)
    )
    for entry in previous or ():
        builder = builder.add_revoked_certificate(entry)
    for serial in serials:
        builder = builder.add_revoked_certificate(_entry(serial, now, reason))
    return builder.sign(ca.key, hash_for(ca.key))


def number(crl: x509.CertificateRevocationList) -> int:
    """Return a list's CRL number; 0 if it has none, as a list in version 1."""
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return 0


def is_signed_by(crl: x509.CertificateRevocationList, ca: x509.Certificate) -> bool:
    """Whether this CA has signed the list."""
    try:
        return crl.issuer == ca.subject and crl.is_signature_valid(ca.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False


def is_revoked(crl: x509.CertificateRevocationList, serial: int) -> bool:
    """Whether the list has this serial number."""
    return crl.get_revoked_certificate_by_serial_number(serial) is not None


def to_pem(crl: x509.CertificateRevocationList) -> bytes:
    """Return a revocation list as PEM."""
    return crl.public_bytes(serialization.Encoding.PEM)


def _update(now: datetime, previous: x509.CertificateRevocationList | None) -> datetime:
    # A server whose clock is slow must not find the list to be of the future; never before the last one, though.
    backdated = now - BACKDATED
    return backdated if previous is None else max(backdated, previous.last_update_utc)


def _entry(serial: int, now: datetime, reason: x509.ReasonFlags) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
    if reason is not x509.ReasonFlags.unspecified:
        # RFC 5280, section 5.3.1: without a reason there is to be no extension, rather than that one.
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()
