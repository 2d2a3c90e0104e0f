from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from jsched import certificate_files
from jsched.ca.index import entry_of
from jsched.certificate_files import read_pair
from tests.helpers.certs_command import Set, new_set

ALICE = "clients/alice/alice"


def said_by(certificate: x509.Certificate) -> dict[x509.ObjectIdentifier, x509.ExtensionType]:
    """What a certificate says besides its validity, serial and keys."""
    of_the_keys = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    return {one.oid: one.value for one in certificate.extensions if not isinstance(one.value, of_the_keys)}


@pytest.mark.parametrize(
    ("name", "stem"), [("alice", ALICE), ("server", "server"), ("build8", "servers/build8/server")]
)
def test_the_new_one_says_the_same_with_another_key(ca: Set, name: str, stem: str) -> None:
    """Certificate and key are replaced by a pair that says the same; both stay in the index."""
    old, before = ca.certificate(f"{stem}.crt"), set(ca.contents())
    ran = ca.ok("renew", name)
    new = ca.certificate(f"{stem}.crt")
    assert f"{new.serial_number:x}" == ran.serial != f"{old.serial_number:x}"
    assert (new.subject, new.issuer, said_by(new)) == (old.subject, old.issuer, said_by(old))
    assert new.public_key() != old.public_key()
    read_pair(ca.root / f"{stem}.crt", ca.root / f"{stem}.key")
    assert set(ca.contents()) - before == {f"issued/{ran.serial}.crt"}


def test_the_key_can_be_kept_though_it_is_not_here(ca: Set) -> None:
    """--keep-key renews for the same key, also where the user alone has it."""
    old = ca.certificate(f"{ALICE}.crt")
    (ca.root / f"{ALICE}.key").unlink()
    ca.ok("renew", "alice", "--keep-key")
    new = ca.certificate(f"{ALICE}.crt")
    assert new.public_key() == old.public_key()
    assert new.serial_number != old.serial_number
    assert not (ca.root / f"{ALICE}.key").exists()
    shutil.copy(ca.root / "server.key", ca.root / f"{ALICE}.key")
    assert "is not the key of certificate" in ca.refused("renew", "alice", "--keep-key")


def test_another_type_of_key_and_another_place(ca: Set, tmp_path: Path) -> None:
    """--key and --out are done, and a configuration comes along where there is none."""
    ca.ok("renew", "alice", "--key", "rsa:2048", "--out", tmp_path / "out", "--days", "7")
    assert {one.name for one in (tmp_path / "out").iterdir()} == {
        "alice.crt",
        "alice.key",
        "alice.toml",
        "server-ca.crt",
    }
    certificate = x509.load_pem_x509_certificate((tmp_path / "out" / "alice.crt").read_bytes())
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
    ca.ok("renew", "alice", "--out", tmp_path / "out")
    certificate = x509.load_pem_x509_certificate((tmp_path / "out" / "alice.crt").read_bytes())
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)


def test_who_was_revoked_is_not_renewed(ca: Set) -> None:
    """A name whose certificates were all revoked gets none by a renewal."""
    ca.ok("revoke", "alice")
    assert "was revoked" in ca.refused("renew", "alice")


def test_a_name_that_nobody_has_is_refused(ca: Set) -> None:
    """What was not issued can't be renewed."""
    assert "no certificate for 'bob' was issued" in ca.refused("renew", "bob")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("alice", "--keep-key", "--key", "rsa"), "contrary"),
        (("alice", "--finish"), "for a CA alone"),
        (("alice", "--force"), "for --finish alone"),
        (("client-ca", "--keep-key"), "a CA gets a new key"),
        (("client-ca", "--out", "x"), "a CA gets a new key"),
        (("client-ca", "--finish", "--days", "3"), "makes nothing"),
        (("alice", "--key", "ed25519"), "gRPC's TLS library does not take it"),
        (("client-ca", "--key", "rsa:1024"), "2048 to 8192"),
        (("alice", "--days", "9999"), "outlive its CA"),
    ],
)
def test_flags_that_make_no_sense_are_refused(ca: Set, words: tuple[str, ...], said: str) -> None:
    """Flags that are contrary or for something else are errors, and nothing is written."""
    assert said in ca.refused("renew", *words)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_is_replaced_keeps_its_owner_and_mode(ca: Set) -> None:
    """A server with a user of its own can read what root renews for it; a key never becomes open to all."""
    for name, mode in (("server.key", 0o644), ("server.crt", 0o640)):
        os.chown(ca.root / name, 1234, 2345)
        (ca.root / name).chmod(mode)
    ca.ok("renew", "server")
    key, certificate = ((ca.root / name).stat() for name in ("server.key", "server.crt"))
    assert (key.st_uid, key.st_gid, stat.S_IMODE(key.st_mode)) == (1234, 2345, 0o640)
    assert (certificate.st_uid, certificate.st_gid, stat.S_IMODE(certificate.st_mode)) == (1234, 2345, 0o640)


def test_a_pair_is_replaced_key_first_each_at_once(ca: Set, tmp_path: Path) -> None:
    """Each file is renamed into place whole, the key before its certificate, both after the index has it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    command = [sys.executable, "-m", "jsched.commands.main", "certs", "renew", "server", "--dir", str(ca.root)]
    subprocess.run(["strace", "-f", "-e", "trace=rename", "-o", trace, *command], check=True, capture_output=True)
    renamed = [line.split('"')[3].rpartition("/")[2] for line in trace.read_text().splitlines() if "rename(" in line]
    assert renamed[-2:] == ["server.key", "server.crt"]
    assert f"issued/{renamed[0]}" in ca.contents()


def test_a_new_ca_takes_over(ca: Set) -> None:
    """Both CAs are trusted until the end; the new one signs; then the old one and its key are gone."""
    old = ca.certificate("client-ca.crt")
    said = ca.ok("renew", "client-ca").out
    assert "jsched client CA 2" in said
    bundle = x509.load_pem_x509_certificates((ca.root / "client-ca.crt").read_bytes())
    assert bundle[1:] == [old]
    assert bundle[0].subject.rfc4514_string() == "CN=jsched client CA 2"
    read_pair(ca.root / "client-ca.crt", ca.root / "client-ca.key")
    assert (ca.root / "servers/build8/client-ca.crt").read_bytes() == (ca.root / "client-ca.crt").read_bytes()
    assert stat.S_IMODE((ca.root / "client-ca.old.key").stat().st_mode) == 0o600
    assert "one is taking over already" in ca.refused("renew", "client-ca")
    assert "alice, olivia have no certificate of the new CA" in ca.refused("renew", "client-ca", "--finish")
    for user in ("alice", "olivia"):
        ca.ok("renew", user)
        ca.certificate(f"clients/{user}/{user}.crt").verify_directly_issued_by(bundle[0])
    ca.ok("renew", "client-ca", "--finish")
    assert x509.load_pem_x509_certificates((ca.root / "client-ca.crt").read_bytes()) == bundle[:1]
    assert not (ca.root / "client-ca.old.key").exists()
    assert "nothing to finish" in ca.refused("renew", "client-ca", "--finish")
    ca.ok("renew", "client-ca")
    assert ca.certificate("client-ca.crt").subject.rfc4514_string() == "CN=jsched client CA 3"


def test_a_new_server_ca_takes_over(ca: Set) -> None:
    """Clients' copies have both CAs, and the old one is needed until every server has a new certificate."""
    ca.ok("renew", "server-ca", "--key", "ed25519")
    assert (ca.root / "clients/alice/server-ca.crt").read_bytes() == (ca.root / "server-ca.crt").read_bytes()
    ca.ok("renew", "server")
    assert "build8 has no certificate of the new CA" in ca.refused("renew", "server-ca", "--finish")
    ca.ok("renew", "server-ca", "--finish", "--force")
    assert (ca.root / "clients/alice/server-ca.crt").read_bytes() == (ca.root / "server-ca.crt").read_bytes()
    ca.certificate("server.crt").verify_directly_issued_by(ca.certificate("server-ca.crt"))
    assert "of a CA that is gone" in ca.refused("renew", "build8")


def test_a_take_over_that_was_cut_off_does_no_harm(ca: Set) -> None:
    """With the new CA in the bundle and its key not yet in place the old one signs, and is what is left at the end."""
    old = ca.certificate("client-ca.crt")
    key = (ca.root / "client-ca.key").read_bytes()
    ca.ok("renew", "client-ca")
    (ca.root / "client-ca.key").write_bytes(key)
    ca.ok("client", "--user", "bob", "--role", "user")
    ca.certificate("clients/bob/bob.crt").verify_directly_issued_by(old)
    ca.ok("renew", "client-ca", "--finish")
    assert ca.certificate("client-ca.crt") == old


@pytest.mark.parametrize("finish", [(), ("--finish", "--force")])
def test_what_a_killed_take_over_left_undone_is_done_by_the_next(ca: Set, finish: tuple[str, ...]) -> None:
    """Killed when the CAs had changed: said again, it brings lists, keys and copies to where the CAs are."""
    ca.ok("revoke", "olivia")
    if finish:
        ca.ok("renew", "client-ca")
    places = (ca.root, ca.root / "servers" / "build8")
    names = ["client-ca.crl", *(["client-ca.old.key"] if finish else [])]
    before = {path: path.read_bytes() for place in places for name in names if (path := place / name).exists()}
    before[places[1] / "client-ca.crt"] = (places[1] / "client-ca.crt").read_bytes()
    ca.ok("renew", "client-ca", *finish)
    after = {path: path.exists() and path.read_bytes() for path in before}
    for path, content in before.items():
        path.write_bytes(content)
    assert after != {path: path.read_bytes() for path in before}
    assert "what the run before left undone is done" in ca.ok("renew", "client-ca", *finish).out
    ca.refused("renew", "client-ca", *finish)
    assert [(places[1] / name).read_bytes() for name in ("client-ca.crt", "client-ca.crl")] == [
        (places[0] / name).read_bytes() for name in ("client-ca.crt", "client-ca.crl")
    ]
    assert len(certificate_files.read_revocation_lists(ca.root / "client-ca.crl")) == (1 if finish else 2)
    assert (ca.root / "client-ca.old.key").exists() is not bool(finish)


def test_a_ca_renews_its_leaves_until_it_ends(tmp_path: Path) -> None:
    """A renewed certificate never outlives its CA, and one of a CA without a rest is refused with what to do."""
    made = new_set(tmp_path / "ca", "--days", "40")
    made.ok("client", "--user", "alice", "--role", "user", "--days", "10")
    made.ok("renew", "alice")
    end = made.certificate("client-ca.crt").not_valid_after_utc
    assert made.certificate(f"{ALICE}.crt").not_valid_after_utc == end


def of_two_roles(ca: Set, tmp_path: Path) -> Path:
    """Have a user with the role user in the set, and after it the same with the role admin elsewhere."""
    ca.ok("client", "--user", "al", "--role", "user")
    ca.ok("client", "--user", "al", "--role", "admin", "--out", tmp_path / "g2")
    return tmp_path / "g2"


def role_in(path: Path) -> str:
    return entry_of(x509.load_pem_x509_certificate(path.read_bytes())).role


@pytest.mark.parametrize("flags", [(), ("--keep-key",)])
def test_what_lies_in_the_place_is_renewed(ca: Set, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """A certificate keeps its role, and its key, though a newer one of that name lies elsewhere; the role is said."""
    elsewhere = of_two_roles(ca, tmp_path)
    assert "a new certificate for al, role user, valid" in ca.ok("renew", "al", *flags).out
    assert role_in(ca.root / "clients/al/al.crt") == "user"
    read_pair(ca.root / "clients/al/al.crt", ca.root / "clients/al/al.key")
    assert "a new certificate for al, role admin, valid" in ca.ok("renew", "al", "--out", elsewhere, *flags).out
    assert role_in(elsewhere / "al.crt") == "admin"
    read_pair(elsewhere / "al.crt", elsewhere / "al.key")


def test_a_server_keeps_its_hosts(ca: Set, tmp_path: Path) -> None:
    """A server's certificate keeps its hosts, though a newer one of that name lies elsewhere; the hosts are said."""
    ca.ok("server", "--host", "other.example.com", "--out", tmp_path / "other")
    before = said_by(ca.certificate("server.crt"))
    assert "for server, build7.example.com, 10.1.2.3, valid" in ca.ok("renew", "server").out
    assert said_by(ca.certificate("server.crt")) == before


@pytest.mark.parametrize("flags", [(), ("--keep-key",)])
def test_where_nothing_lies_and_several_differ_the_choices_are_said(
    ca: Set, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """Which of several roles is meant is not guessed, and a serial number says it."""
    elsewhere, there = of_two_roles(ca, tmp_path), ca.root / "clients/al/al.crt"
    refused = ca.refused("renew", "al", "--out", tmp_path / "g3", *flags)
    assert "(role user, until" in refused
    assert "(role admin, until" in refused
    serial = f"{x509.load_pem_x509_certificate(there.read_bytes()).serial_number:x}"
    assert "role user" in ca.ok("renew", serial, "--out", tmp_path / "g3", *flags).out
    assert role_in(tmp_path / "g3" / "al.crt") == "user"
    # Nor does a serial number put one role in the place of another.
    assert "is not one of those" in ca.refused("renew", serial, "--out", elsewhere, *flags)
    there.unlink()
    assert "role admin" in ca.refused("renew", "al", *flags)


def test_what_was_revoked_in_its_place_does_not_become_another(ca: Set, tmp_path: Path) -> None:
    """With the certificate that lies there revoked, one of another role elsewhere is not put in its place."""
    of_two_roles(ca, tmp_path)
    ca.ok("revoke", f"{ca.certificate('clients/al/al.crt').serial_number:x}")
    assert "was revoked" in ca.refused("renew", "al")


def test_a_key_that_is_kept_is_the_one_that_is_meant(ca: Set, tmp_path: Path) -> None:
    """Of certificates that differ in their key alone none is guessed when the key is to be kept."""
    ca.ok("renew", "alice", "--out", tmp_path / "laptop")
    assert "to tell which" in ca.refused("renew", "alice", "--keep-key", "--out", tmp_path / "new")
    old = ca.certificate(f"{ALICE}.crt")
    (tmp_path / "new").mkdir()
    shutil.copy(ca.root / f"{ALICE}.key", tmp_path / "new")
    ca.ok("renew", "alice", "--keep-key", "--out", tmp_path / "new")
    new = x509.load_pem_x509_certificate((tmp_path / "new" / "alice.crt").read_bytes())
    assert new.public_key() == old.public_key()


def test_a_server_that_was_revoked_is_not_left_without_a_certificate(ca: Set) -> None:
    """After a server's key was stolen, the old CA stays until the server has a certificate of the new one."""
    ca.ok("renew", "build8")
    steps = ca.ok("revoke", "server", "--reason", "key-compromise").out
    again = "jsched certs server --host build7.example.com --host 10.1.2.3"
    assert again in steps
    ca.ok("renew", "server-ca")
    ca.ok("renew", "build8")
    refused = ca.refused("renew", "server-ca", "--finish")
    assert "server, which was revoked, has no certificate of the new CA yet" in refused
    assert again in refused
    assert again in ca.refused("renew", "server")
    for name in ("server.crt", "server.key"):
        (ca.root / name).unlink()
    ca.ok(*again.split()[2:])
    ca.ok("renew", "server-ca", "--finish")
    ca.certificate("server.crt").verify_directly_issued_by(ca.certificate("server-ca.crt"))


def test_a_user_who_was_revoked_needs_nothing_of_the_new_ca(ca: Set) -> None:
    """A new CA of clients does not wait for those who are to be kept out."""
    ca.ok("revoke", "olivia")
    ca.ok("renew", "client-ca")
    ca.ok("renew", "alice")
    ca.ok("renew", "client-ca", "--finish")
