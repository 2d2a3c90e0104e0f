"""HTTP/2 by hand: frames as an attacker would write them, over TLS with a good certificate.

Only what RFC 9113 and RFC 7541 need for a client that sends what it likes and reads what it must.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from jsched.client.connection import tls_context
from tests.helpers import calls
from tests.helpers.server import Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
CANCEL = 8
ENHANCE_YOUR_CALM = 11

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Frame:
    """A frame as it was received."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def error(self) -> int:
        """The error code of a RST_STREAM or GOAWAY frame (RFC 9113, section 7)."""
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload[:4])


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Return a frame's bytes (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """Return a header as a literal without indexing and without Huffman (RFC 7541, section 6.2.2)."""
    return b"\0" + _text(name) + _text(value)


def call_headers(method: str, extra: Headers = ()) -> bytes:
    """Return the header block of a gRPC call."""
    return b"".join(
        literal(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "https"),
            (":path", method),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *extra,
        )
    )


def message(content: bytes, compressed: bool = False) -> bytes:
    """Return a gRPC message with its prefix of five bytes."""
    return struct.pack(">BI", compressed, len(content)) + content


def _text(text: str) -> bytes:
    content = text.encode("latin-1")
    return _integer(len(content), 7) + content


def _integer(value: int, bits: int) -> bytes:
    """Return an integer with a prefix of so many bits, the bits before it 0 (RFC 7541, section 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    encoded = bytearray((most,))
    value -= most
    while value >= 128:
        encoded.append(value % 128 + 128)
        value //= 128
    return bytes((*encoded, value))


def silent(server: Server) -> socket.socket:
    """Return a TCP connection to the server on which nothing was said."""
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=calls.DEADLINE)


def secure(server: Server, who: str = "admin") -> ssl.SSLSocket:
    """Return a connection whose TLS handshake is done, and on which nothing of HTTP/2 was said."""
    config = calls.config(server, who)
    context = tls_context(config)
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(silent(server), server_hostname=config.server.rpartition(":")[0])


class Connection:
    """An HTTP/2 connection that has sent its preface and its settings; a context manager."""

    def __init__(self, server: Server, who: str = "admin", settings: bytes = b"") -> None:
        self.socket = secure(server, who)
        self._received = bytearray()
        self.frames: list[Frame] = []
        self.closed = False
        self.send(PREFACE + frame(SETTINGS, payload=settings))

    def send(self, data: bytes) -> bool:
        """Send bytes, and return whether the connection still takes them."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.closed = True
        return not self.closed

    def read(self, timeout: float) -> list[Frame]:
        """Wait for up to `timeout` seconds for something to read, and return the frames that it made whole.

        `frames` has all that ever came, and `closed` says whether the connection has ended.
        """
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(1 << 20)
            self.closed = self.closed or not data
            self._received += data
        except TimeoutError:
            return []
        except OSError:
            self.closed = True
        finally:
            self.socket.settimeout(calls.DEADLINE)
        new = list(self._cut())
        self.frames += new
        return new

    def read_until(self, kind: int, timeout: float = calls.DEADLINE) -> None:
        """Read until a frame of this kind has come; raises AssertionError if the connection ends before, or time."""
        deadline = time.monotonic() + timeout
        while kind not in self.kinds():
            left = deadline - time.monotonic()
            assert left > 0, f"no frame of kind {kind} came within {timeout:g} seconds"
            assert not self.closed, f"the connection was closed before a frame of kind {kind} came"
            self.read(left)

    def read_until_closed(self, timeout: float = calls.DEADLINE) -> float:
        """Read until the server closes the connection and return after how many seconds; raises AssertionError."""
        began = time.monotonic()
        while not self.closed:
            left = began + timeout - time.monotonic()
            assert left > 0, f"the connection was not closed within {timeout:g} seconds"
            self.read(left)
        return time.monotonic() - began

    def kinds(self) -> set[int]:
        """Return the kinds of the frames that were received."""
        return {one.kind for one in self.frames}

    def _cut(self) -> Iterator[Frame]:
        while len(self._received) >= 9:
            size = int.from_bytes(self._received[:3])
            if len(self._received) < 9 + size:
                return
            kind, flags, stream = struct.unpack(">BBI", self._received[3:9])
            yield Frame(kind, flags, stream & 0x7FFFFFFF, bytes(self._received[9 : 9 + size]))
            del self._received[: 9 + size]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.socket.close()
