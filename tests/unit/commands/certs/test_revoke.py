from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from jsched.certificate_files import read_revocation_lists
from jsched.certificates import make_client
from jsched.certificates.revocation import is_revoked, make_revocation_list, number, to_pem
from tests.helpers.certificates import make_odd_client, utf8_string
from tests.helpers.certs_command import Set

ALICE = "clients/alice/alice.crt"


def lists(ca: Set, name: str = "client-ca") -> list[x509.CertificateRevocationList]:
    return read_revocation_lists(ca.root / f"{name}.crl")


def test_a_name_means_all_of_its_certificates(ca: Set) -> None:
    """All certificates of a user that have not ended are in the list, nobody else's, and copies are new."""
    first = ca.certificate(ALICE)
    ca.ok("renew", "alice")
    second = ca.certificate(ALICE)
    said = ca.ok("revoke", "alice", "--reason", "key-compromise").out
    (crl,) = lists(ca)
    assert {entry.serial_number for entry in crl} == {first.serial_number, second.serial_number}
    assert all(f"revoked certificate {one.serial_number:x} of alice" in said for one in (first, second))
    assert (ca.root / "servers/build8/client-ca.crl").read_bytes() == (ca.root / "client-ca.crl").read_bytes()


def test_revoking_twice_is_harmless(ca: Set) -> None:
    """The second time the list stays as it is, byte for byte, and the command says that it had been."""
    ca.ok("revoke", "alice")
    before = ca.contents()
    assert "was revoked before" in ca.ok("revoke", "alice").out
    assert ca.contents() == before
    ca.ok("revoke", "olivia")
    (crl,) = lists(ca)
    assert (len(crl), number(crl)) == (2, 2)


def test_a_serial_number_means_one(ca: Set) -> None:
    """A serial number as list and audit show it, whole or its beginning, in capitals with colons, means one."""
    old = f"{ca.certificate(ALICE).serial_number:x}"
    ca.ok("renew", "alice")
    ca.ok("revoke", old[:12])
    (crl,) = lists(ca)
    assert [f"{entry.serial_number:x}" for entry in crl] == [old]
    padded = f"{ca.certificate(ALICE).serial_number:040X}"
    ca.ok("revoke", ":".join(padded[at : at + 2] for at in range(0, 40, 2)))
    assert len(lists(ca)[0]) == 2


def test_a_file_means_its_certificate_even_if_it_was_made_elsewhere(ca: Set, tmp_path: Path) -> None:
    """A certificate of the CA that is not in the index is revoked by its file, and listed from then on."""
    foreign = make_client(ca.client_ca(), "eve", "admin")
    odd = make_odd_client(ca.client_ca(), users=("eve", "adam"), roles=[utf8_string("user"), utf8_string("admin")])
    for client in (foreign, odd):
        (tmp_path / "eve.crt").write_bytes(client.certificate_pem)
        ca.ok("revoke", tmp_path / "eve.crt")
        assert is_revoked(lists(ca)[0], client.certificate.serial_number)
        assert f"{client.certificate.serial_number:x}"[:12] in ca.ok("list").out


def test_a_name_can_not_break_a_line(ca: Set, tmp_path: Path) -> None:
    """Of a certificate that somebody else has made with the CA the name is shown as what it is."""
    odd = make_odd_client(ca.client_ca(), users=["a\x1b[2J\nb"])
    (tmp_path / "odd.crt").write_bytes(odd.certificate_pem)
    assert all(line.isprintable() for line in ca.ok("revoke", tmp_path / "odd.crt").out.splitlines())


def test_openssl_agrees(ca: Set) -> None:
    """OpenSSL verifies the list's signature, refuses who is in it, and accepts who is not."""
    ca.ok("revoke", "alice")

    def verify(name: str) -> subprocess.CompletedProcess[str]:
        words = ["-crl_check", "-x509_strict", "-CAfile", "client-ca.crt", "-CRLfile", "client-ca.crl", name]
        return subprocess.run(["openssl", "verify", *words], cwd=ca.root, capture_output=True, text=True, check=False)

    assert verify("clients/olivia/olivia.crt").returncode == 0
    refused = verify(ALICE)
    assert refused.returncode != 0
    assert "certificate revoked" in refused.stderr


def test_a_server_can_be_revoked_and_is_told_what_that_means(ca: Set) -> None:
    """A server's certificate goes into the other CA's list, and the command says that clients don't look."""
    said = ca.ok("revoke", "build8").out
    assert "jsched's clients don't read it" in said
    assert "renew server-ca" in said
    assert is_revoked(lists(ca, "server-ca")[0], ca.certificate("servers/build8/server.crt").serial_number)
    assert not (ca.root / "client-ca.crl").exists()


def test_there_is_a_list_of_each_ca_while_one_takes_over(ca: Set) -> None:
    """Each CA has a list, each certificate is in that of its own CA, and the old one's ends with it."""
    ca.ok("revoke", "olivia")
    ca.ok("renew", "client-ca")
    ca.ok("client", "--user", "bob", "--role", "user")
    old, new = ca.certificate(ALICE), ca.certificate("clients/bob/bob.crt")
    assert [len(crl) for crl in lists(ca)] == [0, 1]
    ca.ok("revoke", "alice")
    ca.ok("revoke", "bob")
    of_new, of_old = lists(ca)
    assert [entry.serial_number for entry in of_new] == [new.serial_number]
    assert old.serial_number in {entry.serial_number for entry in of_old}
    ca.ok("renew", "client-ca", "--finish")
    assert [crl.issuer for crl in lists(ca)] == [ca.certificate("client-ca.crt").subject]
    assert [number(crl) for crl in lists(ca)] == [number(of_new)]


def test_a_damaged_list_is_not_written_over(ca: Set) -> None:
    """Where the list can't be read, what it said would be lost: nothing is revoked, and the file is named."""
    ca.ok("revoke", "olivia")
    path = ca.root / "client-ca.crl"
    path.write_bytes(path.read_bytes()[:-60])
    assert "client-ca.crl" in ca.refused("revoke", "alice")


@pytest.mark.parametrize("what", ["bob", "5d1f20c4a8", "", "no/such.crt", "abc"])
def test_what_means_nothing_is_refused(ca: Set, what: str) -> None:
    """A name, serial number or file that is none of the set's is an error."""
    assert "is no name or serial number" in ca.refused("revoke", what)


def test_what_can_not_be_revoked_is_refused(ca: Set, tmp_path: Path) -> None:
    """A CA, a certificate of another CA, and a reason that there is none are errors."""
    for what in ("client-ca", str(ca.root / "client-ca.crt")):
        assert "is a CA and can't be revoked" in ca.refused("revoke", what)
    (tmp_path / "other.crt").write_bytes(make_odd_client(None).certificate_pem)
    assert "is not signed by a CA in" in ca.refused("revoke", tmp_path / "other.crt")
    assert "--reason" in ca.refused("revoke", "alice", "--reason", "because")


def test_who_has_nothing_that_is_accepted_is_said_to(ca: Set) -> None:
    """Of a name with nothing but certificates of a CA that is gone there is nothing to revoke."""
    ca.ok("renew", "client-ca")
    ca.ok("renew", "client-ca", "--finish", "--force")
    assert "no certificate for 'alice' is accepted any more" in ca.refused("revoke", "alice")


def test_what_another_program_has_lost_is_seen_and_put_back(ca: Set) -> None:
    """A list that was written over ends no revocation for good: list, show and revoke say so, and it comes back."""
    ca.ok("revoke", "alice")
    ca.ok("revoke", "olivia")
    in_use = lists(ca)[0]
    (ca.root / "client-ca.crl").write_bytes(to_pem(make_revocation_list(ca.client_ca())))
    ran = ca.run("list")
    assert ran.out.count("revoked, not in the list") == 2
    assert "alice, olivia were revoked here, and the revocation list says nothing of it" in ran.err
    assert "does not say so" in ca.ok("show", ca.root / ALICE).out
    assert "was revoked" in ca.refused("renew", "alice")
    ca.ok("client", "--user", "bob", "--role", "user")
    said = ca.ok("revoke", "bob").out
    assert all(f"of {user}: client-ca.crl had lost it" in said for user in ("alice", "olivia"))
    (crl,) = lists(ca)
    assert len(crl) == 3
    # A server that has the list from before takes no other with its number or a lower one.
    assert number(crl) > number(in_use)
    assert "not in the list" not in ca.ok("list").out


def test_what_was_revoked_before_there_were_marks_is_remembered(ca: Set) -> None:
    """The index learns from a list that is older than it all that the list says."""
    ca.ok("revoke", "alice")
    for mark in (ca.root / "issued").glob("*.revoked"):
        mark.unlink()
    ca.ok("revoke", "olivia")
    (ca.root / "client-ca.crl").unlink()
    assert ca.run("list").out.count("revoked, not in the list") == 2
