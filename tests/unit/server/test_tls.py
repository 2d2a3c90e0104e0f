from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from jsched.certificates import Issued, make_ca, make_server
from tests.helpers.certificates import Key, make_odd_client, write_server_files
from tests.helpers.guarded_server import GuardedServer

PREPARE = """
import os, sys
from pathlib import Path
from jsched.errors import JschedError
from jsched.server import tls
try:
    tls.prepare(Path(sys.argv[1]))
except JschedError as error:
    print(f"{type(error).__name__}: {error}")
else:
    print(os.environ["GRPC_SSL_CIPHER_SUITES"])
"""


@pytest.fixture(scope="module")
def ca() -> Issued:
    return make_ca("test CA")


@pytest.fixture
def certs(ca: Issued, tmp_path: Path) -> Path:
    write_server_files(tmp_path / "certs", make_server(ca), [ca])
    return tmp_path / "certs"


def prepare(certs_dir: Path, before: str = "") -> str:
    """What prepare says, in a process of its own: it may be called before grpc is imported only."""
    words = [sys.executable, "-c", before + PREPARE, str(certs_dir)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def put_odd_server(certs_dir: Path, ca: Issued, key: Key | None = None, **window: Any) -> None:
    odd = make_odd_client(ca, users=["server"], roles=[], purpose=ExtendedKeyUsageOID.SERVER_AUTH, key=key, **window)
    (certs_dir / "server.crt").write_bytes(odd.certificate_pem)
    (certs_dir / "server.key").write_bytes(odd.key_pem)


def test_the_one_suite_left_needs_a_key_that_nobody_shares(certs: Path, ca: Issued) -> None:
    """Whichever type of key the server has, only a suite with a pre-shared key is left to TLS 1.2."""
    assert prepare(certs).startswith("ECDHE-PSK-")
    put_odd_server(certs, ca, rsa.generate_private_key(65537, 2048))
    assert prepare(certs).startswith("ECDHE-PSK-")


def test_grpc_must_not_be_imported_before(certs: Path) -> None:
    """Prepared too late, TLS would not be what it says: that is refused."""
    assert prepare(certs, before="import grpc").startswith("Internal: grpc was imported before")


def test_the_module_itself_does_not_import_grpc() -> None:
    """Importing jsched.server.tls leaves grpc alone."""
    script = "import sys, jsched.server.tls; sys.exit('grpc' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def remove_key(directory: Path, _: Issued) -> None:
    (directory / "server.key").unlink()


def remove_client_ca(directory: Path, _: Issued) -> None:
    (directory / "client-ca.crt").unlink()


def spoil_client_ca(directory: Path, _: Issued) -> None:
    (directory / "client-ca.crt").write_bytes(b"nothing")


def open_key(directory: Path, _: Issued) -> None:
    (directory / "server.key").chmod(0o604)


def foreign_key(directory: Path, ca: Issued) -> None:
    (directory / "server.key").write_bytes(ca.key_pem)


def expired(directory: Path, ca: Issued) -> None:
    put_odd_server(directory, ca, ends_in=timedelta(minutes=-1))


def not_yet(directory: Path, ca: Issued) -> None:
    put_odd_server(directory, ca, starts_in=timedelta(hours=1))


def ed25519_leaf(directory: Path, ca: Issued) -> None:
    put_odd_server(directory, ca, ed25519.Ed25519PrivateKey.generate())


def small_rsa(directory: Path, ca: Issued) -> None:
    put_odd_server(directory, ca, rsa.generate_private_key(65537, 1024))


def encrypted_key(directory: Path, _: Issued) -> None:
    words = ["openssl", "pkcs8", "-topk8", "-passout", "pass:x", "-in", "server.key", "-out", "encrypted"]
    subprocess.run(words, cwd=directory, check=True, capture_output=True)
    os.replace(directory / "encrypted", directory / "server.key")


@pytest.mark.parametrize(
    ("spoil", "file", "what"),
    [
        (remove_key, "server.key", "is not there"),
        (remove_client_ca, "client-ca.crt", "is not there"),
        (spoil_client_ca, "client-ca.crt", "no certificate"),
        (open_key, "server.key", "chmod 600"),
        (foreign_key, "server.key", "does not belong to"),
        (expired, "server.crt", "expired"),
        (not_yet, "server.crt", "not valid before"),
        (ed25519_leaf, "server.crt", "P-256"),
        (small_rsa, "server.crt", "2048"),
        (encrypted_key, "server.key", "encrypted"),
    ],
)
def test_files_that_would_not_work_are_named(
    certs: Path, ca: Issued, spoil: Callable[[Path, Issued], None], file: str, what: str
) -> None:
    """A file that is missing or would not work is named before anything is served, with what to do."""
    spoil(certs, ca)
    said = prepare(certs)
    assert said.startswith("FailedPrecondition: ")
    assert str(certs / file) in said
    assert what in said


KEYS: list[Key | None] = [None, rsa.generate_private_key(65537, 2048)]


@pytest.mark.parametrize("key", KEYS, ids=["P-256", "RSA"])
def test_the_probe_sees_tls_1_3_alone(certs: Path, ca: Issued, key: Key | None) -> None:
    """A prepared server passes the probe, whichever type of key it has."""
    put_odd_server(certs, ca, key)
    with GuardedServer(certs, certs / "audit") as server:
        assert server.ask("probe") == "ok"


@pytest.mark.parametrize("key", KEYS, ids=["P-256", "RSA"])
def test_the_probe_objects_to_tls_1_2(certs: Path, ca: Issued, key: Key | None) -> None:
    """A server that accepts TLS 1.2 as well does not pass the probe."""
    put_odd_server(certs, ca, key)
    with GuardedServer(certs, certs / "audit", prepared=False) as server:
        assert server.ask("probe") == f"Internal: a TLS 1.2 handshake was accepted on port {server.port}"


def test_the_probe_does_not_take_silence_for_a_refusal(certs: Path) -> None:
    """A port that closes every connection without a word, TLS 1.3 too, does not pass the probe."""
    script = """
import socket, threading
from jsched.errors import Internal
from jsched.server import tls
listener = socket.create_server(("127.0.0.1", 0))
def close_all():
    while True:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.close()
threading.Thread(target=close_all, daemon=True).start()
try:
    tls.probe("127.0.0.1", listener.getsockname()[1])
except Internal as error:
    print(error.message)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.startswith("a TLS 1.3 handshake was not answered")
