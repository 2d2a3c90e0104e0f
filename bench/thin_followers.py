"""Followers that cost little: just enough HTTP/2 over TLS to call StreamOutput, one connection each.

A thousand followers in grpc.aio take more than twice the CPU time of the server they measure,
and on a host of two cores what would be measured then is their own queue.
Source: RFC 9113 (frames), RFC 7541 (header fields), gRPC over HTTP2 (messages).
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Any

from bench.channel import SERVICE
from bench.followers import Record, report
from bench.load import Parent
from jsched.client.connection import tls_context
from jsched.client.settings import load as load_settings
from jsched.v1 import jobs_pb2 as pb

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_HEAD = 9
_STREAM = 1
_READ = 65536
# A quarter of the window that HTTP/2 begins with is read before more is allowed.
_ALLOW_AFTER = 16384


def load(task: dict[str, Any], parent: Parent) -> None:
    """Connect, say so when every follower has the first message, and read to the job's end."""
    settings = load_settings({"config": Path(task["certs"]) / "admin.toml", "server": task["address"]}, environ={})
    context = tls_context(settings)
    context.set_alpn_protocols(["h2"])
    content = bytearray()
    followers = [
        _Follower(context, task["address"], task["job"], content if not number else None)
        for number in range(task["connections"])
    ]
    readers = {follower.fileno(): follower for follower in followers}
    ready = False
    with select.epoll() as epoll:
        for fd in readers:
            epoll.register(fd, select.EPOLLIN)
        while readers:
            for fd, _ in epoll.poll():
                if readers[fd].read():
                    epoll.unregister(fd)
                    del readers[fd]
            if not ready and all(follower.record.arrivals for follower in followers):
                ready = True
                parent.say("ready")
    parent.say(report([follower.record for follower in followers], bytes(content)))


class _Follower:
    """One connection with one call of StreamOutput."""

    def __init__(self, context: ssl.SSLContext, address: str, job_id: str, kept: bytearray | None) -> None:
        host, _, port = address.rpartition(":")
        self.record = Record(kept)
        self._frames = bytearray()
        self._messages = bytearray()
        self._taken = 0
        self._over = False
        connection = socket.create_connection((host, int(port)))
        self._socket = context.wrap_socket(connection, server_hostname=host)
        request = pb.StreamOutputRequest(job_id=job_id, follow=True).SerializeToString()
        self._socket.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, _STREAM, _request_fields(address))
            + _frame(_DATA, _END_STREAM, _STREAM, struct.pack(">BI", 0, len(request)) + request)
        )
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> bool:
        """Take what has come; return whether the call is over."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while not self._over:
                data = self._socket.recv(_READ)
                now = time.monotonic_ns()
                assert data, "the server has closed the connection"
                self._frames += data
                self._take_frames(now)
                # What is left in the kernel makes the descriptor readable again.
                if not self._socket.pending():
                    break
        return self._over

    def _take_frames(self, now: int) -> None:
        frames, at = self._frames, 0
        while len(frames) - at >= _HEAD:
            end = at + _HEAD + int.from_bytes(frames[at : at + 3], "big")
            if end > len(frames):
                break
            self._take_frame(frames[at + 3], frames[at + 4], bytes(frames[at + _HEAD : end]), now)
            at = end
        del frames[:at]

    def _take_frame(self, kind: int, flags: int, payload: bytes, now: int) -> None:
        if kind == _DATA:
            self._messages += payload
            self._take_messages(now)
            self._allow(len(payload))
        elif kind == _SETTINGS and not flags & _ACK:
            self._socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._socket.sendall(_frame(_PING, _ACK, 0, payload))
        assert kind not in (_RST_STREAM, _GOAWAY), f"the server has ended the call: frame {kind}, {payload!r}"
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            self._over = True

    def _take_messages(self, now: int) -> None:
        messages, at = self._messages, 0
        while len(messages) - at >= 5:
            end = at + 5 + int.from_bytes(messages[at + 1 : at + 5], "big")
            if end > len(messages):
                break
            self.record.take(pb.StreamOutputResponse.FromString(bytes(messages[at + 5 : end])), now)
            at = end
        del messages[:at]

    def _allow(self, taken: int) -> None:
        self._taken += taken
        if self._taken >= _ALLOW_AFTER:
            more = struct.pack(">I", self._taken)
            self._socket.sendall(_frame(_WINDOW_UPDATE, 0, 0, more) + _frame(_WINDOW_UPDATE, 0, _STREAM, more))
            self._taken = 0


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _request_fields(address: str) -> bytes:
    fields = {
        ":method": "POST",
        ":scheme": "https",
        ":path": f"{SERVICE}StreamOutput",
        ":authority": address,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    # Each a literal that is not indexed; names and values are shorter than 127 bytes.
    return b"".join(
        b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in fields.items()
    )
