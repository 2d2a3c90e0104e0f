"""Making certificates: CAs, server certificates, client certificates with a role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from jsched.certificates import names
from jsched.certificates.keys import P256, Key, KeyType, PublicKey, hash_for, key_pem, make_key
from jsched.errors import InvalidArgument

LEAF_LIFETIME = timedelta(days=365)
CA_LIFETIME = timedelta(days=3650)

SERVER_NAME = "jsched server"
# What a certificate says of its key and its CA's, rather than of whom it is for.
OF_THE_KEYS = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
# Clocks of two hosts are never the same; a certificate must be good at once on the slower one.
BACKDATED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension to put into a certificate."""

    value: x509.ExtensionType
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return to_pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM (PKCS #8), not encrypted."""
        return key_pem(self.key)


def make_ca(name: str, *, key_type: KeyType = P256, lifetime: timedelta = CA_LIFETIME) -> Issued:
    """Make a self-signed CA that may sign leaf certificates, revocation lists and no further CA."""
    extensions = [
        Extension(x509.BasicConstraints(ca=True, path_length=0), critical=True),
        Extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True),
    ]
    return issue(None, names.subject(name), extensions, key=make_key(key_type), lifetime=lifetime)


def make_server(
    ca: Issued,
    hosts: Sequence[str] = (),
    *,
    name: str = SERVER_NAME,
    key_type: KeyType = P256,
    lifetime: timedelta = LEAF_LIFETIME,
) -> Issued:
    """Make a server certificate for this machine's own names and `hosts` (DNS names and IP addresses).

    Raises InvalidArgument for a host that is neither.
    """
    alternatives = [names.general_name(host) for host in dict.fromkeys((*hosts, *names.LOCAL_HOSTS))]
    extensions = [
        *leaf_extensions(ExtendedKeyUsageOID.SERVER_AUTH),
        Extension(x509.SubjectAlternativeName(alternatives)),
    ]
    return issue(ca, names.subject(name), extensions, key=make_key(key_type), lifetime=lifetime)


def make_client(
    ca: Issued, user: str, role: str, *, key_type: KeyType = P256, lifetime: timedelta = LEAF_LIFETIME
) -> Issued:
    """Make a client certificate: the user in the CN, the role in the role extension and in the OU.

    Raises InvalidArgument for a user or role that no server would accept.
    """
    names.check_user(user)
    names.check_role(role)
    extensions = [*leaf_extensions(ExtendedKeyUsageOID.CLIENT_AUTH), Extension(names.role_extension(role))]
    return issue(ca, names.subject(user, role), extensions, key=make_key(key_type), lifetime=lifetime)


def issue(
    ca: Issued | None,
    subject: x509.Name,
    extensions: Sequence[Extension],
    *,
    key: Key | None = None,
    lifetime: timedelta = LEAF_LIFETIME,
) -> Issued:
    """Make a certificate with exactly these extensions and the identifiers of its key and its CA's.

    Without a CA it signs itself. It is valid from five minutes ago until `lifetime` from now;
    its serial number is random (RFC 5280, section 4.1.2.2). Raises InvalidArgument if it would
    be valid for longer than its CA.
    """
    key = key or make_key()
    return Issued(_sign(ca or key, subject, extensions, key.public_key(), lifetime), key)


def renew(
    ca: Issued, old: x509.Certificate, public_key: PublicKey, *, lifetime: timedelta = LEAF_LIFETIME
) -> x509.Certificate:
    """Make a certificate that says the same as an old one, for this key, with a validity and serial of its own.

    Raises InvalidArgument if it would be valid for longer than its CA.
    """
    extensions = [
        Extension(extension.value, extension.critical)
        for extension in old.extensions
        if not isinstance(extension.value, OF_THE_KEYS)
    ]
    return _sign(ca, old.subject, extensions, public_key, lifetime)


def leaf_extensions(purpose: x509.ObjectIdentifier) -> list[Extension]:
    """Return what makes a certificate a leaf for one purpose: no CA, signs handshakes, nothing else."""
    return [
        Extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        Extension(_key_usage(digital_signature=True), critical=True),
        Extension(x509.ExtendedKeyUsage([purpose])),
    ]


def to_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _sign(
    signer: Issued | Key,
    subject: x509.Name,
    extensions: Sequence[Extension],
    public_key: PublicKey,
    lifetime: timedelta,
) -> x509.Certificate:
    """Sign a certificate with a CA, or, with a bare key, as its own CA."""
    now = datetime.now(UTC).replace(microsecond=0)
    begin, end = now - BACKDATED, now + lifetime
    issuer, signing_key = subject, signer
    if isinstance(signer, Issued):
        issuer, signing_key = signer.certificate.subject, signer.key
        begin = max(begin, signer.certificate.not_valid_before_utc)
        _check_end(end, signer.certificate)
    assert not isinstance(signing_key, Issued)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(signing_key, hash_for(signing_key))


def _check_end(end: datetime, ca: x509.Certificate) -> None:
    if end > ca.not_valid_after_utc:
        raise InvalidArgument(
            f"a certificate until {end:%Y-%m-%d} would outlive its CA, which ends on {ca.not_valid_after_utc:%Y-%m-%d}",
            obj="lifetime",
            hint="give it fewer days, or make a new CA first: jsched certs renew",
        )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
