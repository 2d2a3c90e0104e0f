"""A TLS connection that a test has made by itself, offered to gRPC's client: for sessions that are resumed."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from jsched.certificates import Issued
from tests.helpers.certificates import Client


def client_context(directory: Path, client: Client | Issued, server_ca: Issued) -> ssl.SSLContext:
    """Return a context for TLS 1.3 with this client certificate; its files are put into the directory."""
    certificate, key = directory / "tunnel.crt", directory / "tunnel.key"
    certificate.write_bytes(client.certificate_pem)
    key.write_bytes(client.key_pem)
    context = ssl.create_default_context(cadata=server_ca.certificate_pem.decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    return context


def connect(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """Return a connection to the server on this port of the loopback, resumed from a session if there is one."""
    plain = socket.create_connection(("127.0.0.1", port), 20)
    return context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)


class Tunnel:
    """A port of the loopback whose one connection goes on through a TLS connection.

    A session of that connection can be resumed once something has come through it: in TLS 1.3
    the ticket comes after the handshake.
    """

    def __init__(self, secure: ssl.SSLSocket) -> None:
        self._secure = secure
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        # One thread for both directions: a TLS connection is not to be used by two at once.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            plain, _ = self._listener.accept()
            with plain:
                self._pump(plain)

    def _pump(self, plain: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([plain, self._secure], [], [])
            if plain in ready:
                data = plain.recv(65536)
                if not data:
                    return
                self._secure.settimeout(20)
                self._secure.sendall(data)
            self._secure.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                while data := self._secure.recv(65536):
                    plain.sendall(data)
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Ends an accept that nobody has come to; a connection has been ended by the client before.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()
        self._secure.close()
