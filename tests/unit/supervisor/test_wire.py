"""What goes between server, launcher and monitors."""

from __future__ import annotations

import pytest

from jsched.supervisor import wire
from jsched.supervisor.record import RunRecord
from jsched.supervisor.wire import LaunchRequest, Report, RequestReader

REQUEST = LaunchRequest(
    "job", ("echo", "ü\n", ""), {"A": "€"}, "/", "/l", None, "/r", "/e", "/s", timeout=1.5, grace=10.0
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_requests_in_pieces(size: int) -> None:
    """However the stream is cut, the same requests come out, in order."""
    requests = [REQUEST, REQUEST._replace(job_id="other", timeout=None, log_gid=5)]
    data = b"".join(map(wire.encode_request, requests))
    reader = RequestReader()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    assert [request for piece in pieces for request in reader.feed(piece)] == requests


def test_request_that_is_too_long() -> None:
    """A length that no request can have is refused before anything is collected."""
    with pytest.raises(ValueError, match="longer than"):
        list(RequestReader().feed(b"\xff\xff\xff\xff"))
    with pytest.raises(ValueError, match="longer than"):
        wire.encode_request(REQUEST._replace(argv=("x" * wire.MAX_REQUEST,)))


@pytest.mark.parametrize(
    "report",
    [wire.READY, Report("job", run=RunRecord("job", "b", 1, 2, 3, 4)), Report("job", failed_step="exec", errno=2)],
)
def test_reports(report: Report) -> None:
    """A report comes back as it was sent."""
    assert wire.decode_report(wire.encode_report(report)) == report
