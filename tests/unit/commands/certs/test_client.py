from __future__ import annotations

import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from jsched.certificate_files import read_pair
from jsched.certificates import ROLE_OID
from jsched.server.leaf import Identity, identities
from tests.helpers.certs_command import Set, new_set

PLACE = "clients/alice/alice"


def test_a_client_is_who_was_asked_for(ca: Set) -> None:
    """User and role stand in the certificate, the role twice; it is for clients, of the client CA, for a year."""
    certificate = ca.certificate(f"{PLACE}.crt")
    assert certificate.subject.rfc4514_string() == "CN=alice,OU=user"
    role = certificate.extensions.get_extension_for_oid(ROLE_OID)
    assert isinstance(role.value, x509.UnrecognizedExtension)
    assert (role.critical, role.value.value) == (False, b"\x0c\x04user")
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(ca.certificate("client-ca.crt"))
    assert abs(certificate.not_valid_after_utc - datetime.now(UTC) - timedelta(days=365)) < timedelta(minutes=5)
    read_pair(ca.root / f"{PLACE}.crt", ca.root / f"{PLACE}.key")


def test_either_kind_of_policy_finds_the_role(ca: Set) -> None:
    """Whether a policy takes the role from the extension or from the OU, it is the same user and role."""
    named = identities(ca.certificate(f"{PLACE}.crt"))
    assert len(named) == 2
    for identity in named.values():
        assert isinstance(identity, Identity)
        assert (identity.user, identity.role) == ("alice", "user")


def test_openssl_reads_the_same(ca: Set) -> None:
    """`openssl x509` shows what is to be in a client's and in a server's certificate."""
    words = ["openssl", "x509", "-noout", "-text", "-in"]
    client, server = (
        subprocess.check_output([*words, ca.root / name], text=True) for name in (f"{PLACE}.crt", "server.crt")
    )
    for said in ("Subject: OU = user, CN = alice", "TLS Web Client Authentication", f"{ROLE_OID.dotted_string}: \n"):
        assert said in client
    for said in ("DNS:build7.example.com, IP Address:10.1.2.3, DNS:localhost", "TLS Web Server Authentication"):
        assert said in server
    for shown in (client, server):
        assert "Version: 3 (0x2)" in shown
        assert "X509v3 Basic Constraints: critical\n                CA:FALSE" in shown
        assert "X509v3 Key Usage: critical\n                Digital Signature\n" in shown


def test_the_directory_is_all_that_the_user_needs(ca: Set) -> None:
    """Certificate, key, the CA of servers, and a configuration that names them and the set's own server."""
    place = ca.root / "clients" / "alice"
    assert {one.name for one in place.iterdir()} == {"alice.crt", "alice.key", "alice.toml", "server-ca.crt"}
    assert tomllib.loads((place / "alice.toml").read_text()) == {
        "server": "build7.example.com:50051",
        "ca": "server-ca.crt",
        "cert": "alice.crt",
        "key": "alice.key",
    }
    assert (place / "server-ca.crt").read_bytes() == (ca.root / "server-ca.crt").read_bytes()


def test_what_is_asked_for_is_what_is_made(ca: Set, tmp_path: Path) -> None:
    """--out, --server, --days and --key are done; what was issued is written down under its serial number."""
    words = ("--user", "ci@example.com", "--role", "admin", "--server", "[fe80::1]:7", "--days", "3")
    ran = ca.ok("client", *words, "--key", "rsa:2048", "--out", tmp_path / "out")
    certificate = x509.load_pem_x509_certificate((tmp_path / "out" / "ci@example.com.crt").read_bytes())
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=3, minutes=5)
    assert tomllib.loads((tmp_path / "out" / "ci@example.com.toml").read_text())["server"] == "[fe80::1]:7"
    assert ca.certificate(f"issued/{ran.serial}.crt") == certificate
    assert not (ca.root / "clients" / "ci@example.com").exists()


def test_without_a_server_of_its_own_the_set_names_this_host(tmp_path: Path) -> None:
    """Where no server's certificate says otherwise, the configuration is for a server here."""
    made = new_set(tmp_path / "ca")
    made.ok("client", "--user", "alice", "--role", "user")
    assert tomllib.loads((made.root / f"{PLACE}.toml").read_text())["server"] == "127.0.0.1:50051"


def test_nothing_is_overwritten(ca: Set, tmp_path: Path) -> None:
    """Where a file of that user is, nothing is issued; a second certificate can be had elsewhere."""
    words = ("--user", "alice", "--role", "user")
    assert "alice.key, alice.crt, alice.toml are in" in ca.refused("client", *words)
    (tmp_path / "alice.key").write_text("precious")
    assert "alice.key is in" in ca.refused("client", *words, "--out", tmp_path)
    assert (tmp_path / "alice.key").read_text() == "precious"
    ca.ok("client", *words, "--out", tmp_path / "second")


@pytest.mark.parametrize(
    ("user", "role", "words", "said"),
    [
        ("a b", "user", (), "user 'a b'"),
        ("", "user", (), "user ''"),
        ("..", "user", (), "user '..'"),
        ("../alice", "user", (), "user '../alice'"),
        ("x" * 65, "user", (), "1 to 64"),
        ("server", "user", (), "confused"),
        ("client-ca", "user", (), "confused"),
        ("build8", "user", (), "a certificate of another kind"),
        ("bob", "User", (), "role 'User'"),
        ("bob", "", (), "role ''"),
        ("bob", "user", ("--key", "ed25519"), "gRPC's TLS library does not take it"),
        ("bob", "user", ("--key", "rsa:512"), "2048 to 8192"),
        ("bob", "user", ("--days", "9999"), "outlive its CA"),
        ("bob", "user", ("--server", "nowhere"), "is not an address"),
    ],
)
def test_what_no_client_can_have_is_refused(ca: Set, user: str, role: str, words: tuple[str, ...], said: str) -> None:
    """A user, role, key, lifetime or server that is not possible is refused, and nothing is written."""
    assert said in ca.refused("client", "--user", user, "--role", role, *words)
