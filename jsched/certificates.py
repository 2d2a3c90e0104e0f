"""X.509 certificates as jsched uses them: CAs, server certificates, client certificates with a role.

The role of a client stands in an extension of its own, `ROLE_OID`, whose value is one DER
UTF8String. It must not be critical: gRPC's TLS library refuses a handshake with a critical
extension that it does not know (RFC 5280, section 4.2).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched.errors import InvalidArgument

# The arc 2.25 needs no registration: below it stands a UUID as a number (ITU-T X.667), here
# 78763ddf-ce1c-46fd-88ef-b8bf98e04da4, made once for jsched. cryptography 50 and OpenSSL 3.0
# both read and write an arc of 128 bits (OpenSSL's -addext too; a test holds that).
ROLE_OID = x509.ObjectIdentifier("2.25.160121305482151175030160243682632027556")

USER_PATTERN = re.compile(r"[A-Za-z0-9._@-]{1,64}")
ROLE_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,31}")

LEAF_LIFETIME = timedelta(days=365)
CA_LIFETIME = timedelta(days=3650)
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

# Clocks of two hosts are never the same; a certificate must be good at once on the slower one.
_BACKDATED = timedelta(minutes=5)
_UTF8_STRING = 0x0C
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension to put into a certificate."""

    value: x509.ExtensionType
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM (PKCS #8), not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_ca(name: str, *, lifetime: timedelta = CA_LIFETIME) -> Issued:
    """Make a self-signed P-256 CA that may sign leaf certificates and no further CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = [
        Extension(x509.BasicConstraints(ca=True, path_length=0), critical=True),
        Extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True),
    ]
    return issue(None, _name(name), extensions, key=key, lifetime=lifetime)


def make_server(ca: Issued, hosts: Sequence[str] = (), *, lifetime: timedelta = LEAF_LIFETIME) -> Issued:
    """Make a server certificate for this machine's own names and `hosts` (DNS names and IP addresses).

    Raises InvalidArgument for a host that is neither.
    """
    names = [general_name(host) for host in dict.fromkeys((*LOCAL_HOSTS, *hosts))]
    extensions = [
        *leaf_extensions(ExtendedKeyUsageOID.SERVER_AUTH),
        Extension(x509.SubjectAlternativeName(names)),
    ]
    return issue(ca, _name("jsched server"), extensions, lifetime=lifetime)


def make_client(ca: Issued, user: str, role: str, *, lifetime: timedelta = LEAF_LIFETIME) -> Issued:
    """Make a client certificate: the user in the CN, the role in the role extension.

    Raises InvalidArgument for a user or role that no server would accept.
    """
    if not USER_PATTERN.fullmatch(user):
        raise InvalidArgument(f"user {user!r} is not 1 to 64 letters, digits, '.', '_', '@' or '-'", obj="user")
    if not ROLE_PATTERN.fullmatch(role):
        raise InvalidArgument(
            f"role {role!r} is not 1 to 32 lower-case letters, digits, '_' or '-', beginning with a letter", obj="role"
        )
    extensions = [*leaf_extensions(ExtendedKeyUsageOID.CLIENT_AUTH), Extension(role_extension(role))]
    return issue(ca, _name(user), extensions, lifetime=lifetime)


def issue(
    ca: Issued | None,
    subject: x509.Name,
    extensions: Sequence[Extension],
    *,
    key: ec.EllipticCurvePrivateKey | None = None,
    lifetime: timedelta = LEAF_LIFETIME,
) -> Issued:
    """Make a certificate with exactly these extensions and the identifiers of its key and its CA's.

    Without a CA it signs itself. It is valid from five minutes ago until `lifetime` from now;
    its serial number is random (RFC 5280, section 4.1.2.2).
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    signer = ca.key if ca else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.certificate.subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def leaf_extensions(purpose: x509.ObjectIdentifier) -> list[Extension]:
    """Return what makes a certificate a leaf for one purpose: no CA, signs handshakes, nothing else."""
    return [
        Extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        Extension(_key_usage(digital_signature=True), critical=True),
        Extension(x509.ExtendedKeyUsage([purpose])),
    ]


def role_extension(role: str) -> x509.UnrecognizedExtension:
    """Return the extension that holds a role: a DER UTF8String of at most 127 bytes (X.690, 8.1.3.4)."""
    text = role.encode()
    if len(text) > 127:
        raise InvalidArgument(f"role is {len(text)} bytes long, more than 127", obj="role")
    return x509.UnrecognizedExtension(ROLE_OID, bytes((_UTF8_STRING, len(text))) + text)


def read_role(value: bytes) -> str:
    """Return the role that an extension's value holds.

    Raises ValueError, saying what is wrong, unless it is exactly one DER UTF8String with a
    short-form length that holds a role.
    """
    if len(value) < 2 or value[0] != _UTF8_STRING:
        raise ValueError("the role is not a UTF8String")
    if value[1] != len(value) - 2 or value[1] > 127:
        raise ValueError("the role's length is not the short form of all its bytes")
    try:
        role = value[2:].decode()
    except UnicodeDecodeError:
        raise ValueError("the role is not UTF-8") from None
    if not ROLE_PATTERN.fullmatch(role):
        raise ValueError(f"the role {role!r} has characters or a length that no role has")
    return role


def general_name(host: str) -> x509.GeneralName:
    """Return a subject alternative name for a DNS name or an IP address; raises InvalidArgument."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise InvalidArgument(f"{host!r} is neither a host name nor an IP address", obj="host")
    return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


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
