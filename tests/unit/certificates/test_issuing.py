from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from jsched.certificates import (
    CA_LIFETIME,
    LEAF_LIFETIME,
    ROLE_OID,
    Issued,
    make_ca,
    make_client,
    make_key,
    make_server,
    parse_key_type,
    renew,
)
from jsched.certificates.keys import PublicKey, type_of
from jsched.errors import InvalidArgument


@pytest.fixture(scope="module")
def ca() -> Issued:
    return make_ca("test CA")


def test_client_certificate_carries_user_and_role(ca: Issued) -> None:
    """A client certificate has one CN, one role extension that is not critical, and is for clients only."""
    certificate = make_client(ca, "alice@example.com", "user").certificate
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [
        "alice@example.com"
    ]
    role = certificate.extensions.get_extension_for_oid(ROLE_OID)
    assert not role.critical
    assert isinstance(role.value, x509.UnrecognizedExtension)
    assert role.value.value == b"\x0c\x04user"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_serials_are_random_and_validity_is_backdated(ca: Issued) -> None:
    """Two certificates never share a serial, and are valid at once and for as long as promised."""
    first, second = (make_client(ca, "alice", "user").certificate for _ in range(2))
    assert first.serial_number != second.serial_number
    assert min(first.serial_number, second.serial_number).bit_length() > 100
    now = datetime.now(UTC)
    for certificate, lifetime in ((first, LEAF_LIFETIME), (ca.certificate, CA_LIFETIME)):
        assert timedelta(minutes=4) < now - certificate.not_valid_before_utc < timedelta(minutes=6)
        assert abs(certificate.not_valid_after_utc - now - lifetime) < timedelta(minutes=1)


def test_openssl_verifies_what_is_made(ca: Issued, tmp_path: Path) -> None:
    """OpenSSL, strict, accepts server and client certificate for their purpose and names, and for no other."""
    (tmp_path / "ca.crt").write_bytes(ca.certificate_pem)
    (tmp_path / "server.crt").write_bytes(make_server(ca, ["build7.example.com", "10.1.2.3"]).certificate_pem)
    (tmp_path / "client.crt").write_bytes(make_client(ca, "alice", "user").certificate_pem)

    def verifies(name: str, *options: str) -> bool:
        words = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", *options, name]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, check=False).returncode == 0

    for name in ("localhost", "build7.example.com"):
        assert verifies("server.crt", "-purpose", "sslserver", "-verify_hostname", name)
    for address in ("127.0.0.1", "::1", "10.1.2.3"):
        assert verifies("server.crt", "-purpose", "sslserver", "-verify_ip", address)
    assert verifies("client.crt", "-purpose", "sslclient")
    assert not verifies("server.crt", "-purpose", "sslclient")
    assert not verifies("client.crt", "-purpose", "sslserver")
    assert not verifies("server.crt", "-verify_hostname", "example.com")


KEYS = [("p256", "ecdsa-with-SHA256"), ("rsa:2048", "sha256WithRSAEncryption"), ("ed25519", "ed25519")]


def critical(certificate: x509.Certificate) -> set[type[x509.ExtensionType]]:
    return {type(extension.value) for extension in certificate.extensions if extension.critical}


@pytest.mark.parametrize(("key", "signature"), KEYS)
def test_a_ca_is_one_whatever_its_key(key: str, signature: str) -> None:
    """A CA with each type of key signs itself, leaves and lists, nothing below, and has its own id twice."""
    ca = make_ca("test CA", key_type=parse_key_type(key, for_ca=True))
    certificate = ca.certificate
    certificate.verify_directly_issued_by(certificate)
    assert certificate.signature_algorithm_oid._name == signature
    assert certificate.version is x509.Version.v3
    extensions = certificate.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == own
    assert critical(certificate) == {x509.BasicConstraints, x509.KeyUsage}
    leaf = make_client(ca, "alice", "user").certificate
    leaf.verify_directly_issued_by(certificate)


@pytest.mark.parametrize("key", ["p256", "rsa:2048"])
def test_leaves_say_what_they_are_for_and_no_more(ca: Issued, key: str) -> None:
    """A leaf is no CA, signs handshakes alone, has one purpose, and names its key and its CA's."""
    key_type = parse_key_type(key)
    server = make_server(ca, ["build7.example.com"], key_type=key_type).certificate
    client = make_client(ca, "alice", "user", key_type=key_type).certificate
    for leaf, purpose in ((server, ExtendedKeyUsageOID.SERVER_AUTH), (client, ExtendedKeyUsageOID.CLIENT_AUTH)):
        extensions = leaf.extensions
        assert extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(False, None)
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        assert (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == (True, False, False)
        assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
        signer = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == signer
        assert critical(leaf) == {x509.BasicConstraints, x509.KeyUsage}
        key_of_leaf = leaf.public_key()
        assert isinstance(key_of_leaf, PublicKey)
        assert type_of(key_of_leaf) == key_type
    assert client.subject.rfc4514_string() == "CN=alice,OU=user"
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["build7.example.com", "localhost", "127.0.0.1", "::1"]


def test_nothing_outlives_its_ca() -> None:
    """A leaf that would be valid for longer than its CA is refused, and none begins before it."""
    short = make_ca("short", lifetime=timedelta(days=3))
    leaf = make_client(short, "alice", "user", lifetime=timedelta(days=2)).certificate
    assert leaf.not_valid_before_utc >= short.certificate.not_valid_before_utc
    with pytest.raises(InvalidArgument, match="outlive its CA"):
        make_client(short, "alice", "user")


def test_a_renewed_certificate_says_the_same(ca: Issued) -> None:
    """Renewed, a certificate has the same names, role, purpose and usages, another serial, and the given key."""
    for old in (make_client(ca, "alice", "user"), make_server(ca, ["build7.example.com"])):
        other = make_key()
        new = renew(ca, old.certificate, other.public_key(), lifetime=timedelta(days=9))
        assert new.subject == old.certificate.subject
        assert new.serial_number != old.certificate.serial_number
        assert new.public_key() == other.public_key()
        assert new.not_valid_after_utc - new.not_valid_before_utc == timedelta(days=9, minutes=5)
        said, again = (
            {one.oid: (one.critical, one.value) for one in certificate.extensions}
            for certificate in (old.certificate, new)
        )
        assert again.keys() == said.keys()
        assert [oid for oid in said if said[oid] != again[oid]] == [ExtensionOID.SUBJECT_KEY_IDENTIFIER]
        new.verify_directly_issued_by(ca.certificate)
