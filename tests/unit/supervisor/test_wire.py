"""What goes between server, launcher and monitors."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from jsched.supervisor import wire
from jsched.supervisor.record import RunRecord
from jsched.supervisor.wire import LaunchRequest, Report

REQUEST = LaunchRequest(
    "job",
    ("echo", "ü\n", ""),
    {"A": "€"},
    "/",
    "/l",
    None,
    "/r",
    "/e",
    "/s",
    timeout=1.5,
    grace=10.0,
    start_timeout=30.0,
)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_requests_in_pieces(size: int) -> None:
    """However the stream is cut, the same requests come out, in order, and its end is no request."""
    requests = [REQUEST, REQUEST._replace(job_id="other", timeout=None, log_gid=5)]
    data = b"".join(map(wire.encode_request, requests))
    ours, theirs = socket.socketpair()

    def send() -> None:
        with ours:
            for start in range(0, len(data), size):
                ours.send(data[start : start + size])

    with theirs, in_thread(send):
        assert [wire.receive_request(theirs.fileno()) for _ in range(3)] == [*requests, None]


def test_request_that_is_cut_off() -> None:
    """Half a request is none."""
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.send(wire.encode_request(REQUEST)[:-1])
        assert wire.receive_request(theirs.fileno()) is None


def test_request_that_is_too_long() -> None:
    """A length that no request can have is refused before anything is collected."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"\xff\xff\xff\xff")
        with pytest.raises(ValueError, match="longer than"):
            wire.receive_request(theirs.fileno())
    with pytest.raises(ValueError, match="longer than"):
        wire.encode_request(REQUEST._replace(argv=("x" * wire.MAX_REQUEST,)))


@pytest.mark.parametrize(
    "report",
    [
        Report("", monitor=(5, 6)),
        Report("job", run=RunRecord("job", "b", 1, 2, 3, 4)),
        Report("job", failed_step="exec", errno=2),
    ],
)
def test_reports(report: Report) -> None:
    """A report comes back as it was sent, from one line."""
    line = wire.encode_report(report)
    assert line.index(b"\n") == len(line) - 1
    assert wire.decode_report(line[:-1]) == report


@contextlib.contextmanager
def in_thread(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()
