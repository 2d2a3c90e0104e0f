from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from jsched.certificates import ROLE_OID, Issued, make_ca, make_client
from jsched.errors import Unauthenticated
from jsched.server.identity import InvalidIdentity, identify
from jsched.server.trust import Trust
from tests.helpers.certificates import Client, Key, make_odd_client, utf8_string
from tests.helpers.trust import trusting


@pytest.fixture(scope="module")
def ca() -> Issued:
    return make_ca("test CA")


@pytest.fixture(scope="module")
def trust(ca: Issued) -> Trust:
    return trusting(ca)


def connection(client: Client | Issued, version: bytes = b"TLSv1.3") -> Mapping[str, list[bytes]]:
    """What gRPC says of a connection."""
    return {"ssl_tls_version": [version], "x509_pem_cert": [client.certificate_pem]}


def reason(context: Mapping[str, list[bytes]], trust: Trust) -> str:
    with pytest.raises(Unauthenticated) as caught:
        identify(context, trust)
    assert isinstance(caught.value, InvalidIdentity)
    assert caught.value.message == "invalid identity"
    assert caught.value.reason not in str(caught.value)
    return caught.value.reason


def test_a_good_certificate_gives_user_and_role(ca: Issued, trust: Trust) -> None:
    """User, role and serial come from the certificate."""
    client = make_client(ca, "alice@example.com", "user")
    identity = identify(connection(client), trust)
    assert (identity.user, identity.role) == ("alice@example.com", "user")
    assert int(identity.serial, 16) == client.certificate.serial_number


@pytest.mark.parametrize("version", [b"TLSv1.2", b"TLSv1.1", b"", b"TLSv1.30", b"\xff"])
def test_any_other_version_of_tls_is_refused(ca: Issued, trust: Trust, version: bytes) -> None:
    """A connection that is not TLS 1.3 gives no identity, however good its certificate."""
    assert reason(connection(make_client(ca, "alice", "user"), version), trust).startswith("the connection is")


def test_no_connection_without_tls_or_certificate(ca: Issued, trust: Trust) -> None:
    """No TLS, no certificate, two certificates, and bytes that are none: no identity."""
    assert reason({}, trust) == "the connection is not TLS"
    assert "0 client certificates" in reason({"ssl_tls_version": [b"TLSv1.3"]}, trust)
    pem = make_client(ca, "alice", "user").certificate_pem
    assert "2 client certificates" in reason({"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [pem, pem]}, trust)
    for junk in (b"", b"junk", pem[:-40], b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        assert "can't be parsed" in reason({"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [junk]}, trust)


def test_validity_is_checked_at_every_call(ca: Issued, trust: Trust) -> None:
    """A certificate that was good a moment ago is refused as soon as it has expired."""
    import time

    client = make_odd_client(ca, ends_in=timedelta(seconds=2))
    context = connection(client)
    assert identify(context, trust).role == "admin"
    deadline = time.monotonic() + 10
    while time.time() <= client.certificate.not_valid_after_utc.timestamp():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert reason(context, trust).startswith("the certificate expired")


def test_the_future_is_refused(ca: Issued, trust: Trust) -> None:
    """A certificate that is not valid yet gives no identity."""
    assert "not valid before" in reason(connection(make_odd_client(ca, starts_in=timedelta(hours=1))), trust)


KEYS: list[tuple[str, Key | None]] = [
    ("", ec.generate_private_key(ec.SECP384R1())),
    ("", rsa.generate_private_key(65537, 2048)),
    ("curve", ec.generate_private_key(ec.SECP224R1())),
    ("curve", ec.generate_private_key(ec.SECP256K1())),
    ("1024 bits", rsa.generate_private_key(65537, 1024)),
]


@pytest.mark.parametrize(("wrong", "key"), KEYS)
def test_weak_keys_are_refused(ca: Issued, trust: Trust, wrong: str, key: Key) -> None:
    """RSA keys below 2048 bits and other curves than the NIST ones from P-256 give no identity."""
    context = connection(make_odd_client(ca, key=key))
    if wrong:
        assert wrong in reason(context, trust)
    else:
        assert identify(context, trust).user == "alice"


def test_each_flipped_bit_of_the_role_is_the_same_role_never_another(ca: Issued, trust: Trust) -> None:
    """Whichever bit of a role extension's value is flipped, nobody becomes admin or user by it."""
    for role in ("admin", "user"):
        good = utf8_string(role)
        for position in range(len(good) * 8):
            changed = bytearray(good)
            changed[position // 8] ^= 1 << position % 8
            context = connection(make_odd_client(ca, roles=[bytes(changed)]))
            try:
                assert identify(context, trust).role not in ("admin", "user")
            except InvalidIdentity as error:
                assert "role" in error.reason


def test_certificates_by_openssl_work_the_same(ca: Issued, trust: Trust, tmp_path: Path) -> None:
    """A client certificate made by plain openssl commands gives an identity."""
    (tmp_path / "ca.crt").write_bytes(ca.certificate_pem)
    (tmp_path / "ca.key").write_bytes(ca.key_pem)
    (tmp_path / "ext").write_text(
        f"basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n"
        f"{ROLE_OID.dotted_string}=ASN1:UTF8String:admin\n"
    )
    for command in (
        "openssl req -new -newkey rsa:2048 -nodes -keyout bob.key -subj /CN=bob -out bob.csr",
        "openssl x509 -req -in bob.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out bob.crt",
    ):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    pem = (tmp_path / "bob.crt").read_bytes()
    identity = identify({"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [pem]}, trust)
    assert (identity.user, identity.role) == ("bob", "admin")
