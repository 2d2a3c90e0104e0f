"""Why there is no connection: each cause has its own words."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jsched.certificates import Issued, make_ca, make_client, make_server
from jsched.client import AsyncClient, Client, ClientConfig, NotConnected
from jsched.client.diagnosis import diagnose
from jsched.errors import InvalidArgument, JschedError, Unauthenticated, Unavailable
from tests.helpers.certificates import make_odd_client
from tests.unit.client.conftest import JOB_ID, Scripted


def write(directory: Path, name: str, issued: Issued) -> tuple[Path, Path]:
    """Write a certificate and its key, and return where."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    certificate.write_bytes(issued.certificate_pem)
    key.write_bytes(issued.key_pem)
    return certificate, key


def failure(config: ClientConfig) -> JschedError:
    """Return the error of a call, which has to be the same with both clients."""

    async def call() -> None:
        async with AsyncClient(config) as client:
            await client.get(JOB_ID)

    with pytest.raises(JschedError) as aio:
        asyncio.run(call())
    with Client(config) as client, pytest.raises(JschedError) as sync:
        client.get(JOB_ID)
    assert (type(aio.value), str(aio.value)) == (type(sync.value), str(sync.value))
    return sync.value


def with_file(config: ClientConfig, name: str, path: Path) -> ClientConfig:
    """Return `config` with another file as `name`."""
    files: dict[str, Any] = {name: path}
    return replace(config, **files)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def good(scripted: Scripted) -> ClientConfig:
    """The configuration of a client that is let in."""
    return scripted.config()


def test_nobody_listens(good: ClientConfig) -> None:
    """A port without a server: the address, that it refused, and what to check."""
    address = f"127.0.0.1:{free_port()}"
    error = failure(replace(good, server=address))
    assert type(error) is NotConnected
    assert error.message == f"can't reach the server at {address}: connection refused"
    assert "is it running" in error.hint


def test_a_name_that_is_not_known(good: ClientConfig) -> None:
    """A host that has no address is said to be unknown (RFC 6761: .invalid never has one)."""
    error = failure(replace(good, server="nowhere.invalid:1"))
    assert type(error) is NotConnected
    assert "'nowhere.invalid' is not known" in error.message


def test_the_servers_ca_is_another(good: ClientConfig, tmp_path: Path) -> None:
    """A CA that has not signed the server's certificate is named, with the flag that mends it."""
    ca, _ = write(tmp_path, "other-ca", make_ca("other"))
    error = failure(replace(good, ca=ca))
    assert type(error) is Unauthenticated
    assert f"is not signed by the CA in {ca}" in error.message
    assert "--ca" in error.hint


def test_the_own_certificate_is_of_another_ca(good: ClientConfig, tmp_path: Path) -> None:
    """A certificate that the server's client CA has not signed is said to be refused."""
    cert, key = write(tmp_path, "stranger", make_client(make_ca("strange"), "mallory", "admin"))
    error = failure(replace(good, cert=cert, key=key))
    assert type(error) is Unauthenticated
    assert f"does not accept your certificate {cert}" in error.message
    assert "CA" in error.hint


@pytest.mark.parametrize(
    ("starts", "ends", "words"),
    [
        (timedelta(days=-2), timedelta(days=-1), "expired on 20"),
        (timedelta(days=1), timedelta(days=2), "is not valid before 20"),
    ],
    ids=["expired", "not yet"],
)
def test_the_own_certificate_is_out_of_date(
    good: ClientConfig, certs: Path, tmp_path: Path, starts: timedelta, ends: timedelta, words: str
) -> None:
    """A certificate that is too old or too new is told with its date."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    ca = Issued(
        x509.load_pem_x509_certificate((certs / "client-ca.crt").read_bytes()),
        load_pem_private_key((certs / "client-ca.key").read_bytes(), None),  # type: ignore[arg-type]
    )
    client = make_odd_client(ca, starts_in=starts, ends_in=ends)
    (tmp_path / "c.crt").write_bytes(client.certificate_pem)
    (tmp_path / "c.key").write_bytes(client.key_pem)
    error = failure(replace(good, cert=tmp_path / "c.crt", key=tmp_path / "c.key"))
    assert type(error) is Unauthenticated
    assert f"your certificate {tmp_path / 'c.crt'} {words}" in error.message


@contextmanager
def listening(context: ssl.SSLContext | None, greeting: bytes = b"", host: str = "127.0.0.1") -> Iterator[int]:
    """Give the port of a server that greets whoever connects, over TLS if there is a context, and says no more."""
    listener = socket.create_server((host, 0))
    held = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            try:
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                    held.append(connection)
                connection.sendall(greeting)
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        for connection in held:
            connection.close()


def server_context(directory: Path, server: Issued) -> ssl.SSLContext:
    """Return the TLS context of a server with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write(directory, "server", server))
    context.set_alpn_protocols(["h2"])
    return context


@pytest.mark.parametrize(
    ("host", "lifetime", "words"),
    [
        ("127.0.0.2", timedelta(days=1), "is not for '127.0.0.2'"),
        ("127.0.0.1", timedelta(seconds=-60), "has expired"),
    ],
    ids=["another name", "expired"],
)
def test_the_servers_certificate_is_wrong(
    good: ClientConfig, tmp_path: Path, host: str, lifetime: timedelta, words: str
) -> None:
    """A server's certificate for another name, or one that has expired, is told apart from a wrong CA."""
    ca = make_ca("servers")
    path, _ = write(tmp_path, "ca", ca)
    context = server_context(tmp_path, make_server(ca, lifetime=lifetime))
    with listening(context, host=host) as port:
        error = diagnose(replace(good, server=f"{host}:{port}", ca=path), "")
    assert type(error) is Unauthenticated
    assert f"the certificate of the server at {host}:{port} {words}" in error.message


def test_something_else_answers(good: ClientConfig) -> None:
    """A server that speaks no TLS is not taken for one that is away."""
    with listening(None, b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        error = failure(replace(good, server=f"127.0.0.1:{port}"))
    assert type(error) is NotConnected
    assert "does not speak TLS 1.3" in error.message


def test_a_server_that_says_nothing(good: ClientConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that takes connections and is silent is said to be that."""
    monkeypatch.setattr("jsched.client.diagnosis.PATIENCE", 0.2)
    with listening(None) as port:
        error = diagnose(replace(good, server=f"127.0.0.1:{port}"), "")
    assert type(error) is NotConnected
    assert "accepts connections, but does not answer" in error.message


def test_a_server_that_is_well_again(good: ClientConfig) -> None:
    """If nothing is wrong any more, the connection was only lost, and gRPC's words are kept."""
    error = diagnose(good, "Socket closed")
    assert type(error) is Unavailable
    assert "was lost (Socket closed)" in error.message


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_a_missing_file_is_named(good: ClientConfig, tmp_path: Path, name: str) -> None:
    """A file that is not there is found before anything is connected, with its flag."""
    with pytest.raises(InvalidArgument, match=f"{name} file {tmp_path}/gone: No such file") as caught:
        Client(with_file(good, name, tmp_path / "gone"))
    assert f"--{name}" in caught.value.hint
    with pytest.raises(InvalidArgument, match="Is a directory"):
        AsyncClient(with_file(good, name, tmp_path))


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_a_file_that_is_no_pem_is_named(good: ClientConfig, tmp_path: Path, name: str) -> None:
    """A file of another kind is named."""
    (tmp_path / "x").write_text("not a certificate\n")
    with pytest.raises(InvalidArgument, match=f"{tmp_path}/x"):
        Client(with_file(good, name, tmp_path / "x"))


def test_a_key_that_belongs_to_another_certificate(good: ClientConfig, certs: Path) -> None:
    """The key of another certificate is told apart from a broken one."""
    with pytest.raises(InvalidArgument, match="does not belong to the certificate"):
        Client(replace(good, key=certs / "user.key"))


def test_an_encrypted_key_asks_for_nothing(good: ClientConfig, tmp_path: Path) -> None:
    """A key with a passphrase is refused; the terminal is not asked."""
    from cryptography.hazmat.primitives import serialization

    client = make_client(make_ca("x"), "alice", "admin")
    cert, key = write(tmp_path, "c", client)
    key.write_bytes(
        client.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(Unauthenticated, match="encrypted"):
        Client(replace(good, cert=cert, key=key))


def test_a_server_that_was_there_is_away(good: ClientConfig) -> None:
    """After a call that had a connection, a port that refuses is a server that went away, not one that never was."""
    error = diagnose(replace(good, server=f"127.0.0.1:{free_port()}"), "Socket closed", was_connected=True)
    assert type(error) is Unavailable
    assert error.message.endswith("connection refused")
