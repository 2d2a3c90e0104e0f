"""The CAs that sign client certificates, and which of them has signed a certificate."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from jsched import certificate_files
from jsched.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA of the bundle, valid from `starts` to `ends` (seconds since the epoch).

    `key_id` stands for its name and its key: a CA's certificate that was renewed with the same
    key is the same signer, and has the same revocation list.
    """

    certificate: x509.Certificate
    name: str
    key_id: bytes
    starts: float
    ends: float

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Return whether this CA has signed the certificate itself, not one below it."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True


def authorities_in(content: bytes, path: Path) -> tuple[Authority, ...]:
    """Return the CAs in what was read from a PEM file.

    Raises FailedPrecondition if one is not a CA's certificate, or none is valid now.
    """
    found = tuple(_authority(certificate, path) for certificate in certificate_files.certificates_in(content, path))
    now = time.time()
    if not any(one.starts <= now <= one.ends for one in found):
        # Says of which kind and since when, of the one that would be good for longest.
        certificate_files.check_validity(max(found, key=lambda one: one.ends).certificate, path)
    return found


def signers(certificate: x509.Certificate, authorities: Sequence[Authority]) -> tuple[Authority, ...]:
    """Return the CAs that have signed the certificate: more than one only if they have their key in common."""
    return tuple(one for one in authorities if one.has_signed(certificate))


def readable(name: x509.Name) -> str:
    """Return a name for logs and messages: whoever made a certificate may have put anything into it."""
    return name.rfc4514_string().encode("unicode_escape").decode("ascii")


def _authority(certificate: x509.Certificate, path: Path) -> Authority:
    name = readable(certificate.subject)
    try:
        _check_is_ca(certificate, name, path)
        key = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise FailedPrecondition(f"the certificate {name} in {path} can't be used: {error}", obj=str(path)) from None
    return Authority(
        certificate,
        name,
        hashlib.sha256(certificate.subject.public_bytes() + key).digest(),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def _check_is_ca(certificate: x509.Certificate, name: str, path: Path) -> None:
    is_ca, may_sign = False, True
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.BasicConstraints):
            is_ca = extension.value.ca
        elif isinstance(extension.value, x509.KeyUsage):
            may_sign = extension.value.key_cert_sign
    if not (is_ca and may_sign):
        raise FailedPrecondition(
            f"the certificate {name} in {path} is not a CA's",
            obj=str(path),
            hint="give the certificate that has signed those of the clients",
        )
