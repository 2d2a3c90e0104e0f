from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from jsched.certificates.keys import KeyType, PublicKey, type_of
from jsched.server.trust import read_trust
from tests.helpers.certs_command import Set, new_set


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


def test_the_sets_own_server_has_its_files_in_the_set(ca: Set) -> None:
    """The files that a server reads are right for one, for the hosts that were given and the host itself."""
    certificate = ca.certificate("server.crt")
    assert names(certificate) == ["build7.example.com", "10.1.2.3", "localhost", "127.0.0.1", "::1"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    certificate.verify_directly_issued_by(ca.certificate("server-ca.crt"))
    read_trust(ca.root)


def test_another_server_has_all_its_files_in_one_place(ca: Set) -> None:
    """The directory of a server elsewhere has all that it reads, and no key but its own."""
    place = ca.root / "servers" / "build8"
    assert {one.name for one in place.iterdir()} == {"server.crt", "server.key", "client-ca.crt"}
    assert names(ca.certificate("servers/build8/server.crt"))[0] == "build8.example.com"
    assert (place / "client-ca.crt").read_bytes() == (ca.root / "client-ca.crt").read_bytes()
    read_trust(place)


def test_files_go_where_they_are_wanted(ca: Set, tmp_path: Path) -> None:
    """--out is made if it is not there, and gets all that a server reads; the key is of the type asked for."""
    ca.ok("revoke", "alice")
    ran = ca.ok("server", "--host", "b9", "--name", "b9", "--key", "rsa:2048", "--out", tmp_path / "out" / "b9")
    place = tmp_path / "out" / "b9"
    assert {one.name for one in place.iterdir()} == {"server.crt", "server.key", "client-ca.crt", "client-ca.crl"}
    certificate = x509.load_pem_x509_certificate((place / "server.crt").read_bytes())
    key = certificate.public_key()
    assert isinstance(key, PublicKey)
    assert type_of(key) == KeyType("rsa", 2048)
    assert f"issued/{ran.serial}.crt" in ca.contents()


def test_nothing_is_overwritten(ca: Set) -> None:
    """Where a server's certificate or key is, none is issued; the message says how to get another."""
    said = ca.refused("server", "--host", "x")
    assert "server.crt, server.key are in" in said
    assert "jsched certs renew server" in said
    (ca.root / "server.crt").unlink()
    assert "server.key is in" in ca.refused("server", "--host", "x")
    assert "build8" in ca.refused("server", "--host", "x", "--name", "build8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "a b"), "neither a host name nor an IP address"),
        (("--host", ""), "neither a host name nor an IP address"),
        (("--host", "x", "--key", "ed25519"), "gRPC's TLS library does not take it"),
        (("--host", "x", "--key", "rsa:1024"), "2048 to 8192"),
        (("--host", "x", "--days", "9999"), "outlive its CA"),
        (("--host", "x", "--name", ".."), "server name '..'"),
        (("--host", "x", "--name", "a/b"), "server name 'a/b'"),
        (("--host", "x", "--name", "client-ca"), "server name 'client-ca'"),
        (("--host", "x", "--name", "alice"), "a certificate of another kind"),
        ((), "--host"),
    ],
)
def test_what_no_server_can_have_is_refused(ca: Set, words: tuple[str, ...], said: str) -> None:
    """A host, key, lifetime or name that is not possible is refused, and nothing is written."""
    name = () if "--name" in words else ("--name", "other")
    assert said in ca.refused("server", *words, *name)


def test_a_set_that_is_not_whole_is_said_to_be(ca: Set, tmp_path: Path) -> None:
    """A missing set, a CA without its key and one with a strange key are named, with what to do."""
    assert "holds no set of certificates" in Set(tmp_path).refused("server", "--host", "x")
    words = ("--host", "x", "--name", "b9")
    shutil.copy(ca.root / "client-ca.key", ca.root / "server-ca.key")
    assert "does not belong to a certificate in" in ca.refused("server", *words)
    (ca.root / "server-ca.key").unlink()
    said = ca.refused("server", *words)
    assert "server-ca.key is not there" in said
    assert "where the set was made" in said


def test_a_certificate_ends_with_its_ca(tmp_path: Path) -> None:
    """Without --days a certificate lives for a year, or until its CA ends."""
    made = new_set(tmp_path / "ca", "--days", "100")
    made.ok("server", "--host", "x")
    assert made.certificate("server.crt").not_valid_after_utc == made.certificate("server-ca.crt").not_valid_after_utc
