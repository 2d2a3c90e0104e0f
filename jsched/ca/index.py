"""What a set has issued, by serial number, so that it can be listed, renewed and revoked."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched import certificate_files
from jsched.ca import layout, marks, writing
from jsched.certificate_expiries import SOON
from jsched.certificates import LOCAL_HOSTS, ROLE_OID, read_role
from jsched.certificates.issuing import SERVER_NAME, to_pem
from jsched.certificates.names import common_name
from jsched.certificates.revocation import is_signed_by

_FILE = re.compile(r"[0-9a-f]+\.crt")


class Kind(enum.Enum):
    """What a certificate is for."""

    SERVER_CA = "server CA"
    CLIENT_CA = "client CA"
    SERVER = "server"
    CLIENT = "client"


class State(enum.Enum):
    """Whether a certificate is good, and why not.

    UNTRUSTED if its CA is not in the set any more; UNLISTED if it was revoked here, and the
    revocation list of its CA has lost that: servers let it in.
    """

    VALID = "valid"
    EXPIRES_SOON = "expires soon"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNLISTED = "revoked, not in the list"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate of the set: `name` is the user's or the server's, `role` is "" for all but clients."""

    certificate: x509.Certificate
    kind: Kind
    name: str
    role: str = ""

    @property
    def serial(self) -> str:
        """The serial number, hexadecimal, as the audit log has it."""
        return f"{self.certificate.serial_number:x}"

    @property
    def until(self) -> datetime:
        """The end (UTC)."""
        return self.certificate.not_valid_after_utc

    @property
    def hosts(self) -> list[str]:
        """The names and addresses of a server, without those of every machine for itself."""
        names = [value for value in _values(self.certificate) if isinstance(value, x509.SubjectAlternativeName)]
        found = [str(one.value) for value in names for one in value if isinstance(one, x509.DNSName | x509.IPAddress)]
        return [host for host in found if host not in LOCAL_HOSTS]

    def describe(self) -> str:
        """Return what a certificate gives to who has it: a client's role, a server's hosts."""
        if self.kind is Kind.CLIENT:
            return f"role {self.role}" if self.role else "no role"
        return ", ".join(self.hosts) or "this machine alone"


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides whether a certificate is good: the CAs of now, and the serial numbers that each has revoked.

    `marked` are the certificates that were revoked here, whatever the lists say.
    """

    authorities: Sequence[Entry]
    revoked: Mapping[x509.Certificate, frozenset[int]]
    marked: Collection[x509.Certificate] = ()

    def signer(self, signed: x509.Certificate | x509.CertificateRevocationList) -> Entry | None:
        """Return the CA that has signed a certificate or a list, None if it is not one of these."""
        for ca in self.authorities:
            if isinstance(signed, x509.Certificate):
                if has_signed(ca.certificate, signed):
                    return ca
            elif is_signed_by(signed, ca.certificate):
                return ca
        return None

    def state(self, certificate: x509.Certificate, now: datetime) -> State:
        """Return a certificate's state."""
        signer = self.signer(certificate)
        if signer is None:
            return State.UNTRUSTED
        if certificate.serial_number in self.revoked[signer.certificate]:
            return State.REVOKED
        if certificate in self.marked:
            return State.UNLISTED
        if now > certificate.not_valid_after_utc:
            return State.EXPIRED
        return State.EXPIRES_SOON if certificate.not_valid_after_utc - now < SOON else State.VALID


def record(root: Path, certificate: x509.Certificate) -> None:
    """Write down a certificate; to be done before anybody has it."""
    writing.put(root, {f"{layout.ISSUED}/{certificate.serial_number:x}.crt": to_pem(certificate)})


def entries(root: Path) -> list[Entry]:
    """Return everything that was issued, the oldest first; raises FailedPrecondition naming a file that is damaged."""
    try:
        found = [one for one in os.scandir(root / layout.ISSUED) if _FILE.fullmatch(one.name)]
    except FileNotFoundError:
        return []
    # Certificates of one second have the same validity.
    found.sort(key=lambda one: one.stat().st_mtime_ns)
    issued = [entry_of(certificate_files.read_certificates(Path(one.path))[0]) for one in found]
    return sorted(issued, key=lambda entry: entry.certificate.not_valid_before_utc)


def authorities(root: Path) -> list[Entry]:
    """Return the CAs of the set, each with its older one while one takes over from the other."""
    kinds = {layout.SERVER_CA: Kind.SERVER_CA, layout.CLIENT_CA: Kind.CLIENT_CA}
    return [
        Entry(certificate, kinds[name], name)
        for name in layout.CAS
        for certificate in certificate_files.read_certificates(root / f"{name}.crt")
    ]


def standing(root: Path) -> Standing:
    """Return the CAs of the set, and what each has revoked."""
    lists = [
        one
        for name in layout.CAS
        if (path := root / f"{name}.crl").exists()
        for one in certificate_files.read_revocation_lists(path)
    ]
    found = authorities(root)
    revoked = {
        ca.certificate: frozenset(
            entry.serial_number for one in lists if is_signed_by(one, ca.certificate) for entry in one
        )
        for ca in found
    }
    return Standing(found, revoked, frozenset(marks.marked(root)))


def has_signed(ca: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether the CA has signed the certificate itself."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def entry_of(certificate: x509.Certificate) -> Entry:
    """Return what a leaf says of itself; one made elsewhere may say little, or nonsense."""
    name = common_name(certificate.subject)
    for value in _values(certificate):
        if isinstance(value, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.SERVER_AUTH in value:
            return Entry(certificate, Kind.SERVER, layout.SERVER if name == SERVER_NAME else name)
    return Entry(certificate, Kind.CLIENT, name, _role(certificate))


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether a certificate calls itself a CA's."""
    return any(isinstance(value, x509.BasicConstraints) and value.ca for value in _values(certificate))


def _values(certificate: x509.Certificate) -> list[x509.ExtensionType]:
    try:
        return [extension.value for extension in certificate.extensions]
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm):
        # What can't be read says nothing; it must be possible to revoke it all the same.
        return []


def _role(certificate: x509.Certificate) -> str:
    """Return the role that was issued, "" if there is none that a server would accept."""
    for value in _values(certificate):
        if isinstance(value, x509.UnrecognizedExtension) and value.oid == ROLE_OID:
            try:
                return read_role(value.value)
            except ValueError:
                return ""
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(units[0].value) if len(units) == 1 else ""
