"""Client certificates as an attacker, or a careless administrator, would make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched.certificates import ROLE_OID, Extension, Issued, general_name, issue

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

# As long as ROLE_OID in DER: where it stands, ROLE_OID can be put without changing a length.
_STAND_IN = x509.ObjectIdentifier("2.25." + str(int(ROLE_OID.dotted_string.removeprefix("2.25.")) ^ 1))


@dataclass(frozen=True)
class Client:
    """A client certificate and its key; `above` are the certificates that the client sends besides."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """What the client sends in a handshake, as PEM."""
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, *self.above))

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def utf8_string(text: str | bytes) -> bytes:
    """A DER UTF8String with a short-form length."""
    content = text.encode() if isinstance(text, str) else text
    return bytes((0x0C, len(content))) + content


def make_odd_client(
    ca: Issued | None,
    *,
    users: Sequence[str] = ("alice",),
    units: Sequence[str] = (),
    roles: Sequence[bytes] = (utf8_string("admin"),),
    critical_role: bool = False,
    hosts: Sequence[str] = (),
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
    is_ca: bool = False,
    key: Key | None = None,
    starts_in: timedelta = timedelta(minutes=-5),
    ends_in: timedelta = timedelta(days=1),
) -> Client:
    """Make a client certificate; without a CA it signs itself. `roles` are the raw values of role extensions."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    named = [(NameOID.COMMON_NAME, user) for user in users]
    named += [(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    subject = x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in named])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.certificate.subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts_in)
        .not_valid_after(now + ends_in)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(general_name, hosts)), critical=False)
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    for oid, value in zip((ROLE_OID, _STAND_IN), roles, strict=False):
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=critical_role)
    signer: Key = ca.key if ca else key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(signer, algorithm)
    if len(roles) > 1:
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        certificate = _with_body(
            certificate, certificate.tbs_certificate_bytes.replace(_oid_der(_STAND_IN), _oid_der(ROLE_OID)), signer
        )
    return Client(certificate, key)


def make_client_below(ca: Issued, below: str) -> Client:
    """Make a client certificate that is signed by a CA of this name below the CA, and sent together with it."""
    is_ca = Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    between = issue(ca, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, below)]), [is_ca])
    return replace(make_odd_client(between), above=(between.certificate,))


def write_server_files(directory: Path, server: Issued, client_cas: Sequence[Issued]) -> None:
    """Write what a server reads from its certificate directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "server.crt").write_bytes(server.certificate_pem)
    (directory / "server.key").write_bytes(server.key_pem)
    (directory / "server.key").chmod(0o600)
    (directory / "client-ca.crt").write_bytes(b"".join(ca.certificate_pem for ca in client_cas))


def _with_body(original: x509.Certificate, body: bytes, signer: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Sign another body: cryptography's builder refuses what some attacks need."""
    signature = signer.sign(body, ec.ECDSA(hashes.SHA256()))
    whole = original.public_bytes(serialization.Encoding.DER)
    start = whole.index(original.tbs_certificate_bytes) + len(original.tbs_certificate_bytes)
    algorithm = whole[start : start + 2 + whole[start + 1]]
    return x509.load_der_x509_certificate(_tlv(0x30, body + algorithm + _tlv(0x03, b"\0" + signature)))


def _oid_der(oid: x509.ObjectIdentifier) -> bytes:
    name = x509.Name([x509.NameAttribute(oid, "x")]).public_bytes()
    start = name.index(b"\x06")
    return name[start : start + 2 + name[start + 1]]


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
