from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from jsched.certificates.keys import ED25519, P256, KeyType, hash_for, make_key, parse_key_type, type_of
from jsched.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("p256", P256),
        ("rsa", KeyType("rsa", 3072)),
        ("rsa:2048", KeyType("rsa", 2048)),
        ("rsa:8192", KeyType("rsa", 8192)),
    ],
)
def test_key_types_for_all(text: str, meant: KeyType) -> None:
    """P-256 and RSA of 2048 bits and more are for leaves and CAs, and print as they are asked for."""
    assert parse_key_type(text) == parse_key_type(text, for_ca=True) == meant
    assert str(meant) in (text, "rsa:3072")


def test_ed25519_is_for_a_ca_alone() -> None:
    """A leaf with an Ed25519 key is refused with the reason, a CA may have one."""
    assert parse_key_type("ed25519", for_ca=True) == ED25519
    with pytest.raises(InvalidArgument, match="gRPC's TLS library does not take it"):
        parse_key_type("ed25519")


@pytest.mark.parametrize("text", ["rsa:1024", "rsa:2047", "rsa:8193", "rsa:99999"])
def test_rsa_keys_of_other_sizes_are_refused(text: str) -> None:
    """RSA below 2048 bits is weak, above 8192 gRPC does not take it; the message names the bounds."""
    with pytest.raises(InvalidArgument, match="2048 to 8192"):
        parse_key_type(text, for_ca=True)


@pytest.mark.parametrize(
    "text", ["", "P256", "rsa:", "rsa:0", "rsa:x", "rsa:-2048", "rsa:٣٠٧٢", "dsa", "p256:256", "rsa:2048:1"]
)
def test_other_words_are_no_key_types(text: str) -> None:
    """What is no key type is refused, naming those that there are."""
    with pytest.raises(InvalidArgument) as caught:
        parse_key_type(text, for_ca=True)
    assert "p256, rsa, rsa:BITS or ed25519" in caught.value.hint


def test_keys_are_what_their_type_says() -> None:
    """A key that was made has the type that it was made with, and signs with what that needs."""
    for key_type, kind in (
        (P256, ec.EllipticCurvePrivateKey),
        (ED25519, ed25519.Ed25519PrivateKey),
        (KeyType("rsa", 2048), rsa.RSAPrivateKey),
    ):
        key = make_key(key_type)
        assert isinstance(key, kind)
        assert type_of(key.public_key()) == key_type
        assert (hash_for(key) is None) is (key_type == ED25519)


def test_another_of_a_foreign_kind_is_not_made() -> None:
    """A key on another curve has no type here; whoever renews its certificate has to name one."""
    with pytest.raises(InvalidArgument, match="secp384r1"):
        type_of(ec.generate_private_key(ec.SECP384R1()).public_key())
