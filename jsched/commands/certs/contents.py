"""What a file holds: certificates, private keys, revocation lists, in PEM or DER form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from jsched.errors import FailedPrecondition

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_BEGINS = b"-----BEGIN "
_KEY = "PRIVATE KEY"
# Larger than any bundle; a log that was named by mistake is not read whole.
_MOST = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EncryptedKey:
    """A private key that can't be read without its password."""


Readable = x509.Certificate | x509.CertificateRevocationList | PrivateKeyTypes | EncryptedKey


def read_objects(path: Path) -> list[Readable]:
    """Return what a file holds, at least one; raises FailedPrecondition naming the file."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST)
    except OSError as error:
        raise FailedPrecondition(f"{path} can't be read: {(error.strerror or '').lower()}", obj=str(path)) from None
    found = [_pem(path, match) for match in _BLOCK.finditer(content)]
    if len(found) != content.count(_BEGINS):
        raise FailedPrecondition(f"{path} is damaged: something in it begins and does not end", obj=str(path))
    return found or [_der(path, content)]


def _pem(path: Path, match: re.Match[bytes]) -> Readable:
    label, block = match[1].decode("ascii"), match[0]
    try:
        if label in ("CERTIFICATE", "X509 CERTIFICATE"):
            return x509.load_pem_x509_certificate(block)
        if label == "X509 CRL":
            return x509.load_pem_x509_crl(block)
        if label.endswith(_KEY):
            return serialization.load_pem_private_key(block, password=None)
    except TypeError:
        return EncryptedKey()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise FailedPrecondition(f"the {label.lower()} in {path} can't be parsed: {error}", obj=str(path)) from None
    raise FailedPrecondition(
        f"{path} holds a {label.lower()}, which is no certificate, private key or revocation list", obj=str(path)
    )


def _der(path: Path, content: bytes) -> Readable:
    for load in (x509.load_der_x509_certificate, x509.load_der_x509_crl, _load_der_key):
        try:
            return load(content)
        except (ValueError, UnsupportedAlgorithm):
            continue
        except TypeError:
            return EncryptedKey()
    raise FailedPrecondition(f"{path} holds no certificate, private key or revocation list", obj=str(path))


def _load_der_key(content: bytes) -> PrivateKeyTypes:
    return serialization.load_der_private_key(content, password=None)
