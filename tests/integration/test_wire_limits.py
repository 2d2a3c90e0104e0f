"""Connections and streams that last too long or say nothing: ended by the server, resumed by the client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.errors import JschedError
from jsched.job import JobSpec
from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls, h2
from tests.helpers.calls import DEADLINE, refused
from tests.helpers.server import WITHOUT_WALLS, Server
from tests.helpers.trail import ended_calls
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

LIMITS = """
[wire]
connection_age = 1
connection_age_grace = 0.5
connection_idle_timeout = 0.5
stream_idle_timeout = 0.4
"""
COUNTING = 'i=0; while [ ! -e "$0" ]; do i=$((i+1)); echo $i; sleep 0.02; done; echo end; exit 5'
SILENT = 'echo begin; while [ ! -e "$0" ]; do sleep 0.02; done; echo end; exit 6'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Server]:
    """A server with very little patience."""
    with Server(tmp_path_factory.mktemp("impatient") / "server", certs, config=WITHOUT_WALLS + LIMITS) as server:
        yield server


def start(server: Server, *argv: str) -> str:
    """Start a job and return its id."""
    return server.client().start(JobSpec(argv)).id


@pytest.mark.parametrize("script", [COUNTING, SILENT])
def test_a_follower_goes_on(server: Server, tmp_path: Path, script: str) -> None:
    """A follower whose connection or stream is ended goes on at the byte where it was, to the job's end."""
    done = tmp_path / "done"
    job_id = start(server, "sh", "-c", script, str(done))
    reasons: list[JschedError] = []
    offsets: list[int] = []

    def resumed(offset: int) -> None:
        offsets.append(offset)
        if len(offsets) == 2:
            done.touch()

    client = server.client()
    with client.follow(job_id, on_reconnect=lambda error, _: reasons.append(error), on_resume=resumed) as stream:
        output = b"".join(chunk.data for chunk in stream)
    assert output == (server.log_dir / f"{job_id}.log").read_bytes()
    assert output.endswith(b"end\n")
    assert stream.ended is not None
    assert len(offsets) >= 2
    if script is COUNTING:
        assert "unavailable" in {error.kind for error in reasons}
        assert 0 < offsets[0] < offsets[1]
    else:
        assert "stream_idle_timeout" in {error.obj for error in reasons}


def test_a_wait_goes_on(server: Server, tmp_path: Path) -> None:
    """A wait that outlasts its connection is made again, and gets the job's end."""
    done = tmp_path / "done"
    job_id = start(server, "sh", "-c", SILENT, str(done))
    assert server.client().wait(job_id, on_reconnect=lambda *_: done.touch()).id == job_id


def test_a_stream_that_sends_nothing(server: Server, tmp_path: Path) -> None:
    """A caller is told which limit has ended its stream, and has got all that there was."""
    job_id = start(server, "sh", "-c", SILENT, str(tmp_path / "done"))
    wait_until((server.log_dir / f"{job_id}.log").read_bytes, what="the job's first line")
    with calls.channel(server) as channel:
        got = bytearray()

        def stream(request: Any, timeout: float) -> None:
            for message in calls.stub(channel).StreamOutput(request, timeout=timeout):
                got.extend(message.data)

        refusal = refused(stream, pb.StreamOutputRequest(job_id=job_id, follow=True))
    (tmp_path / "done").touch()
    assert got == b"begin\n"
    assert (refusal.code, refusal.metadata["object"]) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "stream_idle_timeout",
    )
    assert refusal.message == "nothing was sent on this stream for 0.4 seconds, which is stream_idle_timeout"


def test_a_reader_that_does_not_read(server: Server) -> None:
    """A stream whose client takes nothing is ended too, and lets go of the log."""
    job_id = start(server, "head", "-c", "50000000", "/dev/zero")
    log = server.log_dir / f"{job_id}.log"
    wait_until(lambda: log.stat().st_size == 50_000_000, what="the job's output")

    def ended() -> list[Any]:
        return [
            line for line in ended_calls(server) if line["job"] == job_id and "stream_idle_timeout" in line["reason"]
        ]

    descriptors = Path(f"/proc/{server.pid}/fd")
    with calls.channel(server) as channel:
        stream = calls.stub(channel).StreamOutput(pb.StreamOutputRequest(job_id=job_id, follow=True), timeout=90)
        next(stream)
        wait_until(ended, DEADLINE, "the end of the stream")
        assert not any(fd.is_symlink() and fd.readlink() == log for fd in descriptors.iterdir())
        stream.cancel()


def test_a_connection_without_calls(server: Server) -> None:
    """A connection on which no call is made is asked to end, and closed."""
    with h2.Connection(server) as connection:
        connection.read_until_closed()
        assert h2.GOAWAY in connection.kinds()
