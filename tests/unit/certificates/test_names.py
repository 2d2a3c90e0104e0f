from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from jsched.certificates import ROLE_OID, Issued, general_name, make_ca, make_client, read_role, role_extension
from jsched.certificates.names import common_name, subject
from jsched.errors import InvalidArgument


@pytest.fixture(scope="module")
def ca() -> Issued:
    return make_ca("test CA")


def test_openssl_reads_and_writes_the_role_extension(ca: Issued, tmp_path: Path) -> None:
    """OpenSSL shows the 128-bit arc whole, and writes the same extension as jsched does."""
    (tmp_path / "client.crt").write_bytes(make_client(ca, "alice", "user").certificate_pem)
    shown = subprocess.check_output(["openssl", "x509", "-in", tmp_path / "client.crt", "-noout", "-text"], text=True)
    assert ROLE_OID.dotted_string in shown
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    words += ["-keyout", str(tmp_path / "key"), "-subj", "/CN=alice"]
    words += ["-addext", f"{ROLE_OID.dotted_string}=ASN1:UTF8String:user"]
    pem = subprocess.check_output(words, stderr=subprocess.DEVNULL)
    value = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_oid(ROLE_OID).value
    assert value == role_extension("user")


@pytest.mark.parametrize("user", ["", "a b", "a/b", "ä", "a\0b", "x" * 65, "alice\n"])
def test_users_that_no_server_would_accept_are_refused(ca: Issued, user: str) -> None:
    """No certificate is made for a user whose name every server would refuse."""
    with pytest.raises(InvalidArgument, match="user"):
        make_client(ca, user, "user")


@pytest.mark.parametrize("role", ["", "Admin", "1", "ad min", "ä", "x" * 33, "user\n"])
def test_roles_that_no_server_would_accept_are_refused(ca: Issued, role: str) -> None:
    """No certificate is made for a role that every server would refuse."""
    with pytest.raises(InvalidArgument, match="role"):
        make_client(ca, "alice", role)


# Meant as addresses, and none: as names no client would ever ask for them.
SLIPS = ("256.1.1.1", "10.1.2", "1.2.3.4.5", "127.1", "fe80::1%eth0")


@pytest.mark.parametrize("host", ["", "-a", "a b", "ä.example", "a..b", "1.2.3.4/8", "x" * 64, "a\n", *SLIPS])
def test_hosts_that_are_neither_name_nor_address_are_refused(host: str) -> None:
    """A server certificate is made for host names and addresses only."""
    with pytest.raises(InvalidArgument, match="host"):
        general_name(host)


def test_a_changed_role_extension_never_gives_another_role_by_its_frame() -> None:
    """Any other tag, length or extra byte of a role extension is refused, whatever it is changed to."""
    good = role_extension("user").value
    assert read_role(good) == "user"
    for position in (0, 1):
        for byte in set(range(256)) - {good[position]}:
            with pytest.raises(ValueError, match="role"):
                read_role(good[:position] + bytes((byte,)) + good[position + 1 :])
    for wrong in (b"", b"\x0c", good[:-1], good + b"\0", b"\x0c\x81" + good[1:], good + good):
        with pytest.raises(ValueError, match="role"):
            read_role(wrong)


@pytest.mark.parametrize("role", ["admin", "user"])
def test_no_changed_byte_of_a_role_extension_makes_anybody_admin_or_user(role: str) -> None:
    """Whichever byte is changed to whatever, it is no role, or one that no rule knows."""
    good = role_extension(role).value
    for position, old in enumerate(good):
        for byte in set(range(256)) - {old}:
            try:
                read = read_role(good[:position] + bytes((byte,)) + good[position + 1 :])
            except ValueError:
                continue
            assert read not in ("admin", "user")


def test_a_subject_has_the_unit_before_the_common_name() -> None:
    """A subject is OU, then CN; without a unit it is the CN alone, and a name without a CN has none."""
    assert subject("alice", "user").rfc4514_string() == "CN=alice,OU=user"
    assert subject("alice").rfc4514_string() == "CN=alice"
    assert common_name(subject("alice", "user")) == "alice"
    assert common_name(x509.Name([])) == ""
