"""HTTP/2 floods by a client with a good certificate: they end or come to nothing, and nobody else is disturbed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import h2
from tests.helpers.bystander import Bystander
from tests.helpers.h2 import Connection, call_headers, frame, literal, message
from tests.helpers.server import Server
from tests.helpers.trail import ended_calls
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

LIST = call_headers("/jsched.v1.JobService/ListJobs")
UPLOAD = call_headers("/jsched.v1.RootfsService/UploadRootfs")
MOST_GROWTH = 100_000_000

Chunk = Callable[[int], bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Server]:
    """A server whose memory only this module's tests use."""
    with Server(tmp_path_factory.mktemp("floods") / "server", certs) as server:
        yield server


def resident(server: Server) -> int:
    """Return the server's resident memory in bytes; proc(5)."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def flood(connection: Connection, chunk: Chunk, times: int) -> None:
    """Send `chunk(0)` and so on, and read what comes back, until that many were sent or the connection is closed."""
    for number in range(times):
        if connection.closed or not connection.send(chunk(number)):
            return
        connection.read(0.0005)


def streams(one: Callable[[int], bytes]) -> Chunk:
    """Return chunks of a hundred streams, each with an id of its own, that `one` writes."""
    return lambda number: b"".join(one(2 * (100 * number + position) + 1) for position in range(100))


def reset(stream: int) -> bytes:
    """Return a call that is taken back at once."""
    return frame(h2.HEADERS, h2.END_HEADERS, stream, LIST) + frame(
        h2.RST_STREAM, 0, stream, h2.CANCEL.to_bytes(4, "big")
    )


def complete(stream: int) -> bytes:
    """Return a whole call that is taken back when its answer may be on the way."""
    body = frame(h2.DATA, h2.END_STREAM, stream, message(b""))
    return frame(h2.HEADERS, h2.END_HEADERS, stream, LIST) + body + reset(stream)[-13:]


def unfinished(stream: int) -> bytes:
    """Return a call whose request does not come."""
    return frame(h2.HEADERS, h2.END_HEADERS, stream, LIST)


def pings(_: int) -> bytes:
    """Return a hundred pings."""
    return frame(h2.PING, payload=b"12345678") * 100


def empty_continuations(number: int) -> bytes:
    """Return headers that do not end, in frames without anything in them."""
    return frame(h2.CONTINUATION, 0, 1) * 100 if number else frame(h2.HEADERS, 0, 1, LIST)


def empty_data(number: int) -> bytes:
    """Return a request that does not end, in frames without anything in them."""
    return frame(h2.DATA, 0, 1) * 100 if number else frame(h2.HEADERS, h2.END_HEADERS, 1, UPLOAD)


def garbage(_: int) -> bytes:
    """Return what is no HTTP/2."""
    return os.urandom(1000)


@pytest.mark.parametrize("chunk", [pings, empty_continuations, garbage])
def test_a_flood_that_ends_its_connection(server: Server, chunk: Chunk) -> None:
    """Pings, endless empty headers and garbage end the connection that they come on, and no other."""
    with Bystander(server), Connection(server) as connection:
        flood(connection, chunk, 1000)
        connection.read_until_closed()
    # It is not always read: a connection that is closed with data on the way is reset.
    goaways = {one.error for one in connection.frames if one.kind == h2.GOAWAY}
    assert chunk is not pings or goaways <= {h2.ENHANCE_YOUR_CALM}


@pytest.mark.parametrize("one", [reset, complete, unfinished])
def test_more_streams_than_there_may_be(server: Server, one: Callable[[int], bytes]) -> None:
    """Streams opened and reset without end are refused once they are too many, and cost a bounded piece of memory."""
    before = resident(server)
    with Bystander(server), Connection(server) as connection:
        flood(connection, streams(one), 300)
        refused = sum(seen.kind == h2.RST_STREAM and seen.error == h2.ENHANCE_YOUR_CALM for seen in connection.frames)
        assert connection.closed or refused > 10_000
        assert resident(server) - before < MOST_GROWTH


def test_several_at_once(server: Server) -> None:
    """Two clients that open and reset all the streams that they may have don't make the calls of a third fail."""
    with Bystander(server), Connection(server) as first, Connection(server, "user") as second:
        for number in range(60):
            for connection in (first, second):
                connection.send(streams(reset)(number))
                connection.read(0.0005)


def large_headers(number: int) -> bytes:
    """Return headers that do not end, 20 KB in as many frames as headers."""
    if not number:
        return frame(h2.HEADERS, 0, 1, LIST)
    return frame(h2.CONTINUATION, 0, 1, literal(f"x-{number}", "y" * 1000)) * 20


def test_headers_without_end(server: Server) -> None:
    """Headers that go on and on cost a bounded piece of memory, and lead to no call."""
    before = resident(server)
    with Bystander(server), Connection(server) as connection:
        flood(connection, large_headers, 300)
        assert resident(server) - before < MOST_GROWTH


def test_headers_that_are_large_in_many_frames(server: Server) -> None:
    """Headers of 2 MB, a little in each frame, are refused as soon as they end, with no request to wait for."""
    with Bystander(server), Connection(server) as connection:
        flood(connection, large_headers, 100)
        connection.send(frame(h2.CONTINUATION, h2.END_HEADERS, 1))
        connection.read_until(h2.HEADERS)
        peer = "{}:{}".format(*connection.socket.getsockname())
    (answer,) = (seen for seen in connection.frames if seen.kind == h2.HEADERS)
    assert answer.flags & h2.END_STREAM
    (line,) = (line for line in ended_calls(server) if peer in line["peer"])
    assert line["status"] == "RESOURCE_EXHAUSTED"
    assert "max_metadata_size" in line["reason"]


def test_settings_and_acknowledgements_that_nobody_reads(server: Server) -> None:
    """Settings without end, with an answer to each that is never read, fill no memory of the server's."""
    before = resident(server)
    with Bystander(server), Connection(server) as connection:
        sent = 0
        connection.socket.settimeout(1.0)
        while sent < 100 and connection.send(frame(h2.SETTINGS) * 1000):
            sent += 1
        assert resident(server) - before < MOST_GROWTH
        connection.closed = False
        while not connection.closed and len(connection.frames) < 1000 * sent:
            connection.read(1.0)
        assert resident(server) - before < MOST_GROWTH


def test_data_without_content(server: Server) -> None:
    """An upload of frames with nothing in them is ended, or goes on at its own cost alone."""
    before = resident(server)
    with Bystander(server), Connection(server) as connection:
        flood(connection, empty_data, 500)
        assert resident(server) - before < MOST_GROWTH


def test_nothing_is_left(server: Server) -> None:
    """After the floods their connections are gone, and the server has said nothing alarming."""
    descriptors = Path(f"/proc/{server.pid}/fd")

    def sockets() -> int:
        return sum(fd.is_symlink() and "socket" in os.readlink(fd) for fd in descriptors.iterdir())

    with Bystander(server):
        wait_until(lambda: sockets() < 20, what="the end of the connections")
    assert "Traceback" not in server.printed()
    assert "incident" not in server.printed()
