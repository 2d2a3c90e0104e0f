"""A client's certificate: whether it is one, strictly, and what it says of its owner.

The handshake has checked that some chain leads to a CA and that the client has the key; nearly
everything else it lets through. What is checked here never changes with time, so it is done
once a certificate and set of CAs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched.certificates import ROLE_OID, ROLE_PATTERN, USER_PATTERN, read_role
from jsched.policy.policy import RoleSource
from jsched.server.authorities import Authority, signers

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MIN_RSA_BITS = 2048
_WEAK_HASHES = ("md5", "sha1", "sha224")


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: user, role, and the certificate's serial number (hexadecimal)."""

    user: str
    role: str
    serial: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """What one certificate says, whenever it is asked.

    With a `reason` it is good for nothing. `serial` is hexadecimal, "" if it can't be read. The
    certificate is valid from `starts` to `ends`, seconds since the epoch. `in_extension` and
    `in_unit` are whom it names with the role from there, or why it names nobody clearly.
    """

    serial: str
    reason: str = ""
    number: int = 0
    starts: float = 0.0
    ends: float = 0.0
    signers: tuple[Authority, ...] = ()
    in_extension: Identity | str = ""
    in_unit: Identity | str = ""

    def named(self, source: RoleSource) -> Identity | str:
        """Return whom the certificate names with the role from this source, or why it names nobody clearly."""
        return self.in_extension if source is RoleSource.EXTENSION else self.in_unit


class _Odd(Exception):
    """Something in a certificate is not as it must be."""


def read_leaf(pem: bytes, authorities: Sequence[Authority]) -> Leaf:
    """Return what a certificate says; whatever is wrong with it stands in the reasons."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        number = certificate.serial_number
    except Exception as error:  # noqa: BLE001 - whatever the parser raises, there is no identity
        return Leaf("", f"the certificate can't be parsed: {error}")
    serial = f"{number:x}"
    if reason := objection(certificate):
        return Leaf(serial, reason)
    try:
        signed_by = _signers(certificate, authorities)
        named = identities(certificate)
        starts, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    except _Odd as odd:
        return Leaf(serial, str(odd))
    except Exception as error:  # noqa: BLE001 - a part that the parser reads only when asked, such as an extension
        return Leaf(serial, f"the certificate can't be parsed: {error}")
    return Leaf(serial, "", number, starts, ends, signed_by, named[RoleSource.EXTENSION], named[RoleSource.OU])


def objection(certificate: x509.Certificate) -> str:
    """Return what is wrong with a client's certificate, whoever has signed it and whenever; "" if nothing is."""
    try:
        _check_leaf(certificate)
        _check_key(certificate)
        _check_hash(certificate)
    except _Odd as odd:
        return str(odd)
    except Exception as error:  # noqa: BLE001 - a part that the parser reads only when asked, such as an extension
        return f"the certificate can't be parsed: {error}"
    return ""


def identities(certificate: x509.Certificate) -> dict[RoleSource, Identity | str]:
    """Return whom a certificate names with the role from each source, or why it names nobody clearly."""
    serial = f"{certificate.serial_number:x}"
    return {
        RoleSource.EXTENSION: _identity(certificate, serial, _role_in_extension),
        RoleSource.OU: _identity(certificate, serial, _role_in_unit),
    }


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


def _check_hash(certificate: x509.Certificate) -> None:
    # None with Ed25519, which has no hash to choose.
    algorithm = certificate.signature_hash_algorithm
    if algorithm is not None and algorithm.name in _WEAK_HASHES:
        raise _Odd(f"the certificate is signed with {algorithm.name}")


def _signers(certificate: x509.Certificate, authorities: Sequence[Authority]) -> tuple[Authority, ...]:
    found = signers(certificate, authorities)
    if not found:
        raise _Odd("the certificate is not signed by a CA that is trusted now")
    return found


def _identity(certificate: x509.Certificate, serial: str, role: Callable[[x509.Certificate], str]) -> Identity | str:
    try:
        return Identity(_user(certificate), role(certificate), serial)
    except _Odd as odd:
        return str(odd)


def _user(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise _Odd(f"the certificate has {len(names)} common names")
    user = names[0].value
    if not isinstance(user, str) or not USER_PATTERN.fullmatch(user):
        raise _Odd(f"the common name {user!r} has characters or a length that no user has")
    return user


def _role_in_extension(certificate: x509.Certificate) -> str:
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


def _role_in_unit(certificate: x509.Certificate) -> str:
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    if len(units) != 1:
        raise _Odd(f"the certificate has {len(units)} organizational units")
    role = units[0].value
    if not isinstance(role, str) or not ROLE_PATTERN.fullmatch(role):
        raise _Odd(f"the organizational unit {role!r} has characters or a length that no role has")
    return role
