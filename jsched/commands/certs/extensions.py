"""What the extensions of a certificate say, as people read it."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched.certificates import ROLE_OID, ROLE_PATTERN, read_role

_PURPOSES = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


def purposes(certificate: x509.Certificate) -> list[str]:
    """Return what a certificate is for: `server`, `client`, or another purpose's number."""
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            return [_PURPOSES.get(purpose, purpose.dotted_string) for purpose in extension.value]
    return []


def extension_rows(certificate: x509.Certificate) -> list[tuple[str, str | list[str]]]:
    """Return a row for each extension that matters, one for all others, and the roles in both their places."""
    rows: list[tuple[str, str | list[str]]] = []
    others = []
    for extension in certificate.extensions:
        critical = " (critical)" if extension.critical else ""
        match extension.value:
            case x509.BasicConstraints(ca=ca, path_length=length):
                below = "" if length is None else f", with {length or 'no'} CAs below it"
                rows.append(("ca", f"{f'yes{below}' if ca else 'no'}{critical}"))
            case x509.KeyUsage() as usage:
                held = [name.replace("_", " ") for name in _USAGES if getattr(usage, name)]
                rows.append(("key usage", f"{', '.join(held) or 'none'}{critical}"))
            case x509.ExtendedKeyUsage():
                rows.append(("for", f"{', '.join(purposes(certificate))}{critical}"))
            case x509.SubjectAlternativeName() as names:
                rows.append(("names", [_alternative(name) for name in names]))
            case x509.SubjectKeyIdentifier() as identifier:
                rows.append(("key id", identifier.digest.hex()))
            case x509.AuthorityKeyIdentifier(key_identifier=bytes() as digest):
                rows.append(("issuer key id", digest.hex()))
            case _ if extension.oid != ROLE_OID:
                others.append(f"{extension.oid.dotted_string}{critical}")
    if others:
        rows.append(("others", others))
    return rows + _role_rows(certificate)


def _role_rows(certificate: x509.Certificate) -> list[tuple[str, str | list[str]]]:
    rows: list[tuple[str, str | list[str]]] = []
    held = [extension for extension in certificate.extensions if extension.oid == ROLE_OID]
    rows += [("role", f"{_role(extension.value)}{' (critical)' if extension.critical else ''}") for extension in held]
    units = [str(unit.value) for unit in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)]
    rows += [("role in ou", unit if ROLE_PATTERN.fullmatch(unit) else f"none: {unit!r} is no role") for unit in units]
    return rows


def _role(value: x509.ExtensionType) -> str:
    assert isinstance(value, x509.UnrecognizedExtension)
    try:
        return read_role(value.value)
    except ValueError as error:
        return f"none: {error} ({value.value.hex()})"


def _alternative(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DNSName | x509.IPAddress | x509.RFC822Name | x509.UniformResourceIdentifier):
        return str(name.value)
    return f"a {type(name).__name__}"
