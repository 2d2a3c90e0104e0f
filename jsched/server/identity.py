"""Who calls: the user and the role in the client's certificate, checked strictly at every call.

The handshake has checked the signature of the client CA; nearly everything else it lets
through, and with a resumed session even a certificate that has expired since.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched.certificates import ROLE_OID, USER_PATTERN, read_role
from jsched.errors import Unauthenticated

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: user, role, and the certificate's serial number (hexadecimal) and end (UTC)."""

    user: str
    role: str
    serial: str
    not_after: datetime


class InvalidIdentity(Unauthenticated):
    """The caller's certificate does not give one clear identity.

    Clients learn no more than the message; `reason` and `serial` ("" if unknown) are for the
    audit alone.
    """

    def __init__(self, reason: str, serial: str = "") -> None:
        super().__init__("invalid identity", hint="ask your administrator for a valid certificate with a role")
        self.reason = reason
        self.serial = serial


@dataclass(frozen=True, slots=True)
class _Leaf:
    """What one certificate says, whenever it is asked: a reason instead of user and role if it is no good."""

    serial: str
    identity: Identity | None = None
    not_before: datetime | None = None
    reason: str = ""


class _Odd(Exception):
    """Something in a certificate is not as it must be."""


def identify(auth_context: Mapping[str, Iterable[bytes]]) -> Identity:
    """Return who stands behind a call, from the call's auth_context().

    Raises InvalidIdentity unless the connection is TLS 1.3 and its client certificate is
    valid now, by the wall clock.
    """
    version = list(auth_context.get("ssl_tls_version", ()))
    if version != [b"TLSv1.3"]:
        raise InvalidIdentity(f"the connection is {b','.join(version).decode('ascii', 'replace') or 'not TLS'}")
    certificates = list(auth_context.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise InvalidIdentity(f"the connection has {len(certificates)} client certificates")
    leaf = _read(certificates[0])
    if leaf.identity is None or leaf.not_before is None:
        raise InvalidIdentity(leaf.reason, leaf.serial)
    now = datetime.now(UTC)
    if now < leaf.not_before:
        raise InvalidIdentity(f"the certificate is not valid before {leaf.not_before.isoformat()}", leaf.serial)
    if now > leaf.identity.not_after:
        raise InvalidIdentity(f"the certificate expired at {leaf.identity.not_after.isoformat()}", leaf.serial)
    return leaf.identity


# Parsing costs more than the rest of a call's checks together; what a certificate says never changes.
@functools.lru_cache(maxsize=4096)
def _read(pem: bytes) -> _Leaf:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        serial = f"{certificate.serial_number:x}"
    except Exception as error:  # noqa: BLE001 - whatever the parser raises, there is no identity
        return _Leaf("", reason=f"the certificate can't be parsed: {error}")
    try:
        _check_leaf(certificate)
        _check_key(certificate)
        identity = Identity(_user(certificate), _role(certificate), serial, certificate.not_valid_after_utc)
        return _Leaf(serial, identity, certificate.not_valid_before_utc)
    except _Odd as odd:
        return _Leaf(serial, reason=str(odd))
    except Exception as error:  # noqa: BLE001 - a part that the parser reads only when asked, such as an extension
        return _Leaf(serial, reason=f"the certificate can't be parsed: {error}")


def _check_leaf(certificate: x509.Certificate) -> None:
    extensions = certificate.extensions
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise _Odd("the certificate is a CA's")
        if isinstance(value, x509.KeyUsage):
            if value.key_cert_sign:
                raise _Odd("the certificate may sign certificates")
            if not value.digital_signature:
                raise _Odd("the certificate may not sign handshakes")
    try:
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise _Odd("the certificate has no extended key usage") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise _Odd("the certificate is not for clients")


def _check_key(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            raise _Odd(f"the key is on the curve {key.curve.name}")
    elif isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _MIN_RSA_BITS:
            raise _Odd(f"the RSA key has {key.key_size} bits, less than {_MIN_RSA_BITS}")
    else:
        raise _Odd(f"the key is of a type that is not accepted: {type(key).__name__}")


def _user(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise _Odd(f"the certificate has {len(names)} common names")
    user = names[0].value
    if not isinstance(user, str) or not USER_PATTERN.fullmatch(user):
        raise _Odd(f"the common name {user!r} has characters or a length that no user has")
    return user


def _role(certificate: x509.Certificate) -> str:
    found = [extension for extension in certificate.extensions if extension.oid == ROLE_OID]
    if len(found) != 1:
        raise _Odd(f"the certificate has {len(found)} role extensions")
    if found[0].critical:
        raise _Odd("the role extension is critical")
    value = found[0].value
    if not isinstance(value, x509.UnrecognizedExtension):
        raise _Odd("the role extension is not what it must be")
    try:
        return read_role(value.value)
    except ValueError as error:
        raise _Odd(str(error)) from None
