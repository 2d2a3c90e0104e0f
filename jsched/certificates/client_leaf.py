"""What a client's certificate says of its owner, and what is wrong with it whoever has signed it and whenever.

Strict: the server lets nobody in whom this does not know clearly, and the client tells its user
why it was not let in.
"""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched.certificates.names import ROLE_OID, ROLE_PATTERN, USER_PATTERN, read_role

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_MIN_RSA_BITS = 2048
_WEAK_HASHES = ("md5", "sha1", "sha224")


class OddCertificate(Exception):
    """Something in a certificate is not as it must be."""


def objection(certificate: x509.Certificate) -> str:
    """Return what is wrong with a client's certificate, whoever has signed it and whenever; "" if nothing is."""
    try:
        _check_leaf(certificate)
        _check_key(certificate)
        _check_hash(certificate)
    except OddCertificate as odd:
        return str(odd)
    except Exception as error:  # noqa: BLE001 - a part that the parser reads only when asked, such as an extension
        return f"the certificate can't be parsed: {error}"
    return ""


def user(certificate: x509.Certificate) -> str:
    """Return the user that a certificate names; raises OddCertificate unless there is exactly one."""
    return _attribute(certificate, NameOID.COMMON_NAME, "common name", USER_PATTERN, "user")


def role_in_extension(certificate: x509.Certificate) -> str:
    """Return the role in a certificate's extension; raises OddCertificate unless there is exactly one."""
    found = [extension for extension in certificate.extensions if extension.oid == ROLE_OID]
    if len(found) != 1:
        raise OddCertificate(f"the certificate has {len(found)} role extensions")
    if found[0].critical:
        raise OddCertificate("the role extension is critical")
    value = found[0].value
    if not isinstance(value, x509.UnrecognizedExtension):
        raise OddCertificate("the role extension is not what it must be")
    try:
        return read_role(value.value)
    except ValueError as error:
        raise OddCertificate(str(error)) from None


def role_in_unit(certificate: x509.Certificate) -> str:
    """Return the role in a certificate's organizational unit; raises OddCertificate unless there is exactly one."""
    return _attribute(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME, "organizational unit", ROLE_PATTERN, "role")


def _attribute(
    certificate: x509.Certificate, oid: x509.ObjectIdentifier, what: str, pattern: re.Pattern[str], names: str
) -> str:
    """Return the one attribute of this kind in the subject, which has to be such as `names` a user, or a role."""
    found = certificate.subject.get_attributes_for_oid(oid)
    if len(found) != 1:
        raise OddCertificate(f"the certificate has {len(found)} {what}s")
    value = found[0].value
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise OddCertificate(f"the {what} {value!r} has characters or a length that no {names} has")
    return value


def _check_leaf(certificate: x509.Certificate) -> None:
    extensions = certificate.extensions
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise OddCertificate("the certificate is a CA's")
        if isinstance(value, x509.KeyUsage):
            if value.key_cert_sign:
                raise OddCertificate("the certificate may sign certificates")
            if not value.digital_signature:
                raise OddCertificate("the certificate may not sign handshakes")
    try:
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise OddCertificate("the certificate has no extended key usage") from None
    if ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise OddCertificate("the certificate is not for clients")


def _check_key(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            raise OddCertificate(f"the key is on the curve {key.curve.name}")
    elif isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _MIN_RSA_BITS:
            raise OddCertificate(f"the RSA key has {key.key_size} bits, less than {_MIN_RSA_BITS}")
    else:
        raise OddCertificate(f"the key is of a type that is not accepted: {type(key).__name__}")


def _check_hash(certificate: x509.Certificate) -> None:
    # None with Ed25519, which has no hash to choose.
    algorithm = certificate.signature_hash_algorithm
    if algorithm is not None and algorithm.name in _WEAK_HASHES:
        raise OddCertificate(f"the certificate is signed with {algorithm.name}")
