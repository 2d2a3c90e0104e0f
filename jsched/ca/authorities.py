"""The two CAs of a set: making them and reading them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from jsched import certificate_files
from jsched.ca import layout, writing
from jsched.certificates import Issued, Key, KeyType, make_ca
from jsched.certificates.issuing import LEAF_LIFETIME
from jsched.certificates.keys import public_bytes
from jsched.certificates.names import common_name
from jsched.errors import FailedPrecondition, InvalidArgument

PURPOSES = {layout.SERVER_CA: "server CA", layout.CLIENT_CA: "client CA"}
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA of the set: `current` signs; `older` are those that are still trusted, each with its key if it is there."""

    name: str
    current: Issued
    older: tuple[Issued, ...] = ()
    without_key: tuple[x509.Certificate, ...] = ()

    @property
    def able(self) -> tuple[Issued, ...]:
        """All that can sign."""
        return (self.current, *self.older)

    @property
    def certificates(self) -> list[x509.Certificate]:
        """All that are trusted, the current one first."""
        return [*(one.certificate for one in self.able), *self.without_key]


def make(root: Path, name: str, key_type: KeyType, lifetime: timedelta) -> dict[str, Issued]:
    """Make both CAs in a directory that is locked; `name` goes before what each is for in its common name.

    Raises AlreadyExists if there is anything of a set, InvalidArgument for a name that a
    certificate can't have.
    """
    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable() and name.strip() == name):
        raise InvalidArgument(f"name {name!r} is not 1 to {_LONGEST_NAME} printable characters", obj="name")
    there = (
        *(f"{ca}.{ending}" for ca in layout.CAS for ending in ("crt", "key", "old.key", "crl")),
        *(f"{layout.SERVER}.{ending}" for ending in ("crt", "key")),
        layout.ISSUED,
    )
    writing.check_free(root, there, hint="make the new set in another directory")
    made = {ca: make_ca(f"{name} {purpose}", key_type=key_type, lifetime=lifetime) for ca, purpose in PURPOSES.items()}
    files = {}
    for ca, issued in made.items():
        files[f"{ca}.key"] = issued.key_pem
        files[f"{ca}.crt"] = issued.certificate_pem
    writing.put(root, files)
    return made


def load(root: Path, name: str) -> Authority:
    """Read a CA with its keys; raises FailedPrecondition saying what is missing or does not belong together."""
    path, key_path = root / f"{name}.crt", root / f"{name}.key"
    layout.check_there(root)
    if not key_path.exists():
        raise FailedPrecondition(
            f"{key_path} is not there",
            obj=str(key_path),
            hint="issuing and revoking is done where the set was made, with the CAs' keys: give that directory "
            "with --dir",
        )
    certificates = certificate_files.read_certificates(path)
    keys = [_read_key(key_path)]
    if (old_path := old_key_path(root, name)).exists():
        keys.append(_read_key(old_path))
    able: list[Issued] = []
    for key in keys:
        taken = [one.certificate for one in able]
        able += [Issued(one, key) for one in certificates if _belongs(key, one) and one not in taken]
    if not able or not _belongs(keys[0], able[0].certificate):
        raise FailedPrecondition(f"the key {key_path} does not belong to a certificate in {path}", obj=str(key_path))
    signers = [one.certificate for one in able]
    return Authority(name, able[0], tuple(able[1:]), tuple(one for one in certificates if one not in signers))


def lifetime_within(ca: Issued, days: int | None) -> timedelta:
    """Return how long a leaf is valid: `days`, or a year if the CA lives that long, else the CA's rest.

    Raises FailedPrecondition if the CA has expired.
    """
    if days is not None:
        return timedelta(days=days)
    end = ca.certificate.not_valid_after_utc
    left = end - datetime.now(UTC).replace(microsecond=0)
    if left <= timedelta():
        raise FailedPrecondition(
            f"the CA {common_name(ca.certificate.subject)!r} expired on {end:%Y-%m-%d}",
            hint="make a new one: jsched certs renew server-ca, or client-ca",
        )
    return min(LEAF_LIFETIME, left)


def old_key_path(root: Path, name: str) -> Path:
    """Return where the key of the CA before is, while one takes over from the other."""
    return root / f"{name}.old.key"


def _read_key(path: Path) -> Key:
    key = certificate_files.read_key(path)
    if not isinstance(key, Key):
        raise FailedPrecondition(f"{path} has a key of a type that no CA has here", obj=str(path))
    return key


def _belongs(key: Key, certificate: x509.Certificate) -> bool:
    return public_bytes(key.public_key()) == public_bytes(certificate.public_key())
