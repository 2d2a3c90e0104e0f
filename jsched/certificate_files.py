"""Certificates, keys and revocation lists in files: reading them, and saying precisely what is wrong with them.

Every function raises FailedPrecondition that names the file.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from jsched.certificates.keys import public_bytes
from jsched.errors import FailedPrecondition

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# What a server reads in its directory of certificates; the list may be missing.
SERVER_CERTIFICATE = "server.crt"
SERVER_KEY = "server.key"
CLIENT_CA = "client-ca.crt"
CLIENT_CRL = "client-ca.crl"

_CERTIFICATE_BEGINS = re.compile(b"-----BEGIN (?:X509 )?CERTIFICATE-----")
_CRL_BEGINS = b"-----BEGIN X509 CRL-----"
_CRL = re.compile(_CRL_BEGINS + b".+?-----END X509 CRL-----", re.DOTALL)


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a PEM file, at least one, in the file's order."""
    return certificates_in(read(path), path)


def certificates_in(content: bytes, path: Path) -> list[x509.Certificate]:
    """Return the certificates in what was read from a PEM file, at least one, in the file's order."""
    try:
        found = x509.load_pem_x509_certificates(content)
    except (ValueError, UnsupportedAlgorithm):
        raise FailedPrecondition(f"{path} holds no certificate in PEM form", obj=str(path)) from None
    # The parser passes over one that was cut off.
    if len(found) != len(_CERTIFICATE_BEGINS.findall(content)):
        raise FailedPrecondition(f"{path} holds a certificate that is damaged", obj=str(path))
    return found


def read_revocation_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """Return the revocation lists in a PEM file, at least one, in the file's order."""
    return revocation_lists_in(read(path), path)


def revocation_lists_in(content: bytes, path: Path) -> list[x509.CertificateRevocationList]:
    """Return the revocation lists in what was read from a PEM file, at least one, in the file's order."""
    try:
        found = [x509.load_pem_x509_crl(block) for block in _CRL.findall(content)]
    except (ValueError, UnsupportedAlgorithm):
        found = []
    # One that was cut off must not count as one that is not there.
    if not found or len(found) != content.count(_CRL_BEGINS):
        raise FailedPrecondition(
            f"{path} holds no revocation list in PEM form, or one that is damaged",
            obj=str(path),
            hint="a list in DER form becomes PEM with openssl crl -inform DER",
        )
    return found


def read_key(path: Path) -> PrivateKeyTypes:
    """Return the private key in a PEM file; it must not be encrypted."""
    return key_in(read(path), path)


def key_in(content: bytes, path: Path) -> PrivateKeyTypes:
    """Return the private key in what was read from a PEM file; it must not be encrypted."""
    try:
        return serialization.load_pem_private_key(content, password=None)
    except TypeError:
        raise FailedPrecondition(
            f"the private key {path} is encrypted",
            obj=str(path),
            hint=f"write it without a password: openssl pkey -in {path.name} -out plain.key",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise FailedPrecondition(f"{path} holds no private key in PEM form", obj=str(path)) from None


def read_pair(certificate_path: Path, key_path: Path) -> tuple[x509.Certificate, PrivateKeyTypes]:
    """Return a file's first certificate and its private key from another file; they must belong together."""
    return pair_in(read(certificate_path), certificate_path, read(key_path), key_path)


def pair_in(
    certificate_content: bytes, certificate_path: Path, key_content: bytes, key_path: Path
) -> tuple[x509.Certificate, PrivateKeyTypes]:
    """Return the first certificate and the private key in what was read from two files; they must belong together."""
    certificate = certificates_in(certificate_content, certificate_path)[0]
    key = key_in(key_content, key_path)
    if public_bytes(certificate.public_key()) != public_bytes(key.public_key()):
        raise FailedPrecondition(
            f"the key {key_path} does not belong to the certificate {certificate_path}", obj=str(key_path)
        )
    return certificate, key


def check_validity(certificate: x509.Certificate, path: Path) -> None:
    """Raise FailedPrecondition unless the certificate from `path` is valid now, by the wall clock."""
    now = datetime.now(UTC)
    if now < certificate.not_valid_before_utc:
        raise FailedPrecondition(
            f"the certificate {path} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            obj=str(path),
            hint="is this host's clock right?",
        )
    if now > certificate.not_valid_after_utc:
        raise FailedPrecondition(
            f"the certificate {path} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", obj=str(path)
        )


def read(path: Path) -> bytes:
    """Return a file's content."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FailedPrecondition(f"{path} is not there", obj=str(path)) from None
    except OSError as error:
        raise FailedPrecondition(f"{path} can't be read: {error.strerror}", obj=str(path)) from None
