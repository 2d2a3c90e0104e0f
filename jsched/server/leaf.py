"""A client's certificate: whether it is one, strictly, and what it says of its owner.

The handshake has checked that some chain leads to a CA and that the client has the key; nearly
everything else it lets through. What is checked here never changes with time, so it is done
once a certificate and set of CAs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509

from jsched.certificates.client_leaf import OddCertificate, objection, role_in_extension, role_in_unit, user
from jsched.policy.policy import RoleSource
from jsched.server.authorities import Authority, signers


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
    except OddCertificate as odd:
        return Leaf(serial, str(odd))
    except Exception as error:  # noqa: BLE001 - a part that the parser reads only when asked, such as an extension
        return Leaf(serial, f"the certificate can't be parsed: {error}")
    return Leaf(serial, "", number, starts, ends, signed_by, named[RoleSource.EXTENSION], named[RoleSource.OU])


def identities(certificate: x509.Certificate) -> dict[RoleSource, Identity | str]:
    """Return whom a certificate names with the role from each source, or why it names nobody clearly."""
    serial = f"{certificate.serial_number:x}"
    return {
        RoleSource.EXTENSION: _identity(certificate, serial, role_in_extension),
        RoleSource.OU: _identity(certificate, serial, role_in_unit),
    }


def _signers(certificate: x509.Certificate, authorities: Sequence[Authority]) -> tuple[Authority, ...]:
    found = signers(certificate, authorities)
    if not found:
        raise OddCertificate("the certificate is not signed by a CA that is trusted now")
    return found


def _identity(certificate: x509.Certificate, serial: str, role: Callable[[x509.Certificate], str]) -> Identity | str:
    try:
        return Identity(user(certificate), role(certificate), serial)
    except OddCertificate as odd:
        return str(odd)
