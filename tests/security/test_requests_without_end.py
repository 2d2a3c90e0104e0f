"""Requests that begin and never end: large, on hundreds of streams, from a certificate of the lowest role."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls, h2
from tests.helpers.bystander import Bystander
from tests.helpers.members import write_certificates
from tests.helpers.server import Server

MIB = 1 << 20
STREAMS = 300
SIZE = 2 * MIB
# A few requests as large as they may be and 64 KiB of each other, twice, with what gRPC needs to hold them.
MOST = 120 * MIB
_FRAME = 16384
_WINDOW = 65535
_INITIAL_WINDOW_SIZE = 4


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("certs")
    write_certificates(root, [("admin", "admin"), ("user", "user"), ("mallory", "user")])
    return root


@pytest.fixture
def server(certs: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, certs, config='[isolation]\ndefault = "none"\n[wire]\nrequest_timeout = 4\n')
    try:
        server.start()
        yield server
    finally:
        server.close()


class Unfinished:
    """A connection with requests that lack their last byte, of which as much is sent as the server has room for."""

    def __init__(self, server: Server, method: str) -> None:
        self.connection = h2.Connection(server, "mallory")
        self._initial = _WINDOW
        self._windows = {0: _WINDOW}
        self._left: dict[int, int] = {}
        for stream in range(1, 2 * STREAMS, 2):
            self.connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.call_headers(method)))
            self._windows[stream] = self._initial
            self._left[stream] = 5 + SIZE - 1
        self._seen = 0

    def send_for(self, seconds: float) -> None:
        """Send, and take in what the server says of its room, until nothing more is taken for a second."""
        deadline = time.monotonic() + seconds
        idle_since = time.monotonic()
        while time.monotonic() < min(deadline, idle_since + 1) and not self.connection.closed:
            if self._send_some():
                idle_since = time.monotonic()
            self.connection.read(0.01)
            for frame in self.connection.frames[self._seen :]:
                self._take(frame)
            self._seen = len(self.connection.frames)

    def _send_some(self) -> bool:
        sent = False
        for stream, left in self._left.items():
            size = min(left, _FRAME, self._windows[0], self._windows[stream])
            if size > 5:
                first = left == 5 + SIZE - 1
                content = struct.pack(">BI", 0, SIZE) + bytes(size - 5) if first else bytes(size)
                sent = self.connection.send(h2.frame(h2.DATA, 0, stream, content))
                self._left[stream] -= size
                self._windows[0] -= size
                self._windows[stream] -= size
        return sent

    def _take(self, frame: h2.Frame) -> None:
        if frame.kind == h2.WINDOW_UPDATE and frame.stream in self._windows:
            self._windows[frame.stream] += int.from_bytes(frame.payload)
        elif frame.kind == h2.PING and not frame.flags & h2.ACK:
            self.connection.send(h2.frame(h2.PING, h2.ACK, payload=frame.payload))
        elif frame.kind == h2.SETTINGS and not frame.flags & h2.ACK:
            self.connection.send(h2.frame(h2.SETTINGS, h2.ACK))
            for at in range(0, len(frame.payload), 6):
                name, value = struct.unpack_from(">HI", frame.payload, at)
                if name == _INITIAL_WINDOW_SIZE:
                    for stream in self._left:
                        self._windows[stream] += value - self._initial
                    self._initial = value


def memory(server: Server) -> int:
    """Return how much memory the server's process has."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.parametrize(
    "method",
    [
        "/jsched.v1.JobService/StartJob",
        "/jsched.v1.JobService/StreamOutput",
        "/jsched.v1.RootfsService/UploadRootfs",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Health/Check",
    ],
)
def test_memory_is_bounded(server: Server, method: str) -> None:
    """What one user has begun to send is not kept in the server's memory but for a few requests; others go on."""
    before = memory(server)
    with Bystander(server):
        unfinished = Unfinished(server, method)
        with unfinished.connection:
            unfinished.send_for(20)
            assert memory(server) - before < MOST


def test_who_begins_them_is_told(server: Server) -> None:
    """A request that does not come in time is RESOURCE_EXHAUSTED and in the audit, and its user can go on then."""
    unfinished = Unfinished(server, "/jsched.v1.JobService/GetJob")
    with unfinished.connection, calls.channel(server, "mallory") as channel:
        unfinished.send_for(2)
        calls.stub(channel).ListJobs(pb.ListJobsRequest(), timeout=calls.DEADLINE)
        unfinished.connection.read_until(h2.RST_STREAM)
    text = (server.data_dir / "audit.jsonl").read_text()
    assert '"reason":"the request was not there after 4 seconds, which is request_timeout"' in text


def test_a_call_without_a_request(server: Server) -> None:
    """A call that ends without its request gets one clear answer."""
    with calls.channel(server, "mallory") as channel:
        call: Any = channel.stream_unary("/jsched.v1.JobService/GetJob")
        with pytest.raises(grpc.RpcError) as caught:
            call(iter(()), timeout=calls.DEADLINE)
    assert isinstance(caught.value, grpc.Call)
    assert (caught.value.code(), caught.value.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "the call has no request",
    )
