"""What a server trusts, made without files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from jsched.certificates import Issued
from jsched.server.authorities import authorities_in
from jsched.server.revocations import NO_REVOCATIONS, revocations_in
from jsched.server.trust import Bundle, ServerPair, Trust

_NOWHERE = Path("client-ca.crt")


def trusting(*cas: Issued, lists: Sequence[bytes] = ()) -> Trust:
    """Return the trust of a server with these CAs of clients and these revocation lists (PEM)."""
    pem = b"".join(ca.certificate_pem for ca in cas)
    authorities = authorities_in(pem, _NOWHERE)
    revocations = NO_REVOCATIONS
    if lists:
        revocations = revocations_in(b"".join(lists), Path("client-ca.crl"), authorities)
    return Trust(ServerPair(b"", b"", cas[0].certificate), Bundle(pem, authorities), revocations)


def make_list(
    ca: Issued,
    revoked: Sequence[x509.Certificate] = (),
    *,
    number: int | None = None,
    made: datetime | None = None,
    signer: Issued | None = None,
    critical: x509.ExtensionType | None = None,
) -> bytes:
    """Make a CA's revocation list as PEM; signed with another's key if there is a `signer`."""
    made = made or datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(made)
        .next_update(made + timedelta(days=30))
    )
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(made).build()
        builder = builder.add_revoked_certificate(entry)
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    return builder.sign((signer or ca).key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
