"""Key types: which there are, for which certificates, and making keys of them."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from jsched.errors import InvalidArgument

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

DEFAULT_RSA_BITS = 3072
MIN_RSA_BITS = 2048
# More takes minutes to make, and gRPC's TLS library has a limit of its own not far above.
MAX_RSA_BITS = 8192


@dataclass(frozen=True, slots=True)
class KeyType:
    """A type of key, `bits` for RSA alone (0 for the others)."""

    name: str
    bits: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.bits}" if self.bits else self.name


P256 = KeyType("p256")
ED25519 = KeyType("ed25519")


def parse_key_type(text: str, *, for_ca: bool = False) -> KeyType:
    """Return the type that `p256`, `rsa`, `rsa:BITS` or, for a CA, `ed25519` names; raises InvalidArgument."""
    if text == P256.name:
        return P256
    if text == ED25519.name:
        if for_ca:
            return ED25519
        raise InvalidArgument(
            "a server or client can't use an Ed25519 key: gRPC's TLS library does not take it",
            obj="key",
            hint="use p256 or rsa; a CA may have ed25519",
        )
    name, colon, digits = text.partition(":")
    bits = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 6 else 0
    if name == "rsa" and (not colon or bits):
        bits = bits or DEFAULT_RSA_BITS
        if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
            raise InvalidArgument(
                f"an RSA key of {bits} bits is refused: {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted", obj="key"
            )
        return KeyType("rsa", bits)
    known = "p256, rsa, rsa:BITS" + (" or ed25519" if for_ca else "")
    raise InvalidArgument(f"key type {text!r} is not known", obj="key", hint=f"give {known}")


def make_key(key_type: KeyType = P256) -> Key:
    """Make a private key; one of RSA takes up to several seconds."""
    if key_type == P256:
        return ec.generate_private_key(ec.SECP256R1())
    if key_type == ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, key_type.bits)


def type_of(key: PublicKey) -> KeyType:
    """Return the type of a key that `make_key` can make another of; raises InvalidArgument for one that it can't."""
    if isinstance(key, rsa.RSAPublicKey):
        return parse_key_type(f"rsa:{key.key_size}")
    if isinstance(key, ed25519.Ed25519PublicKey):
        return ED25519
    if isinstance(key.curve, ec.SECP256R1):
        return P256
    raise InvalidArgument(f"keys on the curve {key.curve.name} are not made here", obj="key", hint="give --key")


def hash_for(key: Key) -> hashes.SHA256 | None:
    """Return the hash that this key signs with; an Ed25519 key brings its own (RFC 8410)."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def key_pem(key: Key) -> bytes:
    """Return a private key as PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_bytes(key: object) -> bytes:
    """Return a public key as DER, by which two of them can be compared."""
    # Every public key type has this method; their common type in cryptography has not.
    return key.public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
