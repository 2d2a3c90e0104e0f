from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jsched.certificates import (
    CA_LIFETIME,
    LEAF_LIFETIME,
    ROLE_OID,
    Issued,
    make_ca,
    make_client,
    make_server,
    read_role,
    role_extension,
)
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


@pytest.mark.parametrize("host", ["", "-a", "a b", "ä.example", "a..b", "1.2.3.4/8", "x" * 64, "a\n"])
def test_hosts_that_are_neither_name_nor_address_are_refused(ca: Issued, host: str) -> None:
    """A server certificate is made for host names and addresses only."""
    with pytest.raises(InvalidArgument, match="host"):
        make_server(ca, [host])


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
