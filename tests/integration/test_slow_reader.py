"""A client that does not read costs the server a bounded piece of memory, and others nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.calls import DEADLINE
from tests.helpers.feed import Feed
from tests.helpers.server import Server
from tests.helpers.trail import ended_calls
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(100)

LARGE = 500_000_000
MOST_GROWTH = 10_000_000
MOST_A_READER = 2_000_000
MOST_WAITING = 5.0
# How much of the large log is read where reading is not what the test is about.
SOME = 100_000_000
# Pieces that are not all the same, each at an odd place.
WRITE = f"import os\npiece = os.urandom(999_983)\nfor _ in range({LARGE} // len(piece)): os.write(1, piece)\n"
WRITE += f"os.write(1, piece[: {LARGE} % len(piece)])"


def start(stub: Any, *argv: str) -> Any:
    """Start a job and return it."""
    return stub.StartJob(pb.StartJobRequest(argv=argv), timeout=DEADLINE).job


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Server]:
    """A server whose memory only this module's tests use."""
    with Server(tmp_path_factory.mktemp("slow") / "server", certs) as server:
        yield server


@pytest.fixture(scope="module")
def stub(server: Server) -> Iterator[Any]:
    """The stub of those who do read."""
    with calls.channel(server) as channel:
        yield calls.stub(channel)


@pytest.fixture(scope="module")
def large(stub: Any) -> Iterator[Any]:
    """An ended job with a log of 500 MB; some of it has been read, so the server has what it needs for that."""
    job_id = start(stub, sys.executable, "-c", WRITE).job_id
    job = stub.WaitJob(pb.WaitJobRequest(job_id=job_id), timeout=DEADLINE).job
    assert Path(job.log_path).stat().st_size == LARGE
    check_the_last(stub, job)
    yield job
    Path(job.log_path).unlink()


def check_the_last(stub: Any, job: Any) -> None:
    """Read the last 100 MB of the large log and compare them with the file."""
    request = pb.StreamOutputRequest(job_id=job.job_id, offset=LARGE - SOME, follow=True)
    with Path(job.log_path).open("rb") as file:
        file.seek(LARGE - SOME)
        for message in stub.StreamOutput(request, timeout=DEADLINE):
            assert message.offset == file.tell()
            assert message.data == file.read(len(message.data))
        assert message.ended == job
        assert file.tell() == LARGE


@contextmanager
def stuck_reader(server: Server, job_id: str) -> Iterator[Any]:
    """Open a stream on a connection of its own and read one message, which shows that the server has begun."""
    with calls.channel(server) as channel:
        stream = calls.stub(channel).StreamOutput(pb.StreamOutputRequest(job_id=job_id, follow=True), timeout=90)
        next(stream)
        yield stream
        stream.cancel()


def memory(server: Server, name: str) -> int:
    """Return VmRSS (resident now) or VmHWM (the most since the last reset) of the server in bytes; proc(5)."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) * 1024


def growth(server: Server) -> Callable[[], int]:
    """Return a function that tells by how much the server's memory was larger, at the most, than it is now."""
    before = memory(server, "VmRSS")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    return lambda: memory(server, "VmHWM") - before


def wait_until_idle(server: Server) -> None:
    """Return when the server has stopped working: whatever a stuck reader could take, it has taken."""
    seen = [-1]

    def idle() -> bool:
        fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        seen.append(ticks)
        return len(seen) > 6 and len(set(seen[-6:])) == 1

    wait_until(idle, DEADLINE, what="a server with nothing to do")


def longest_answer(stub: Any, job_id: str, calls_: int = 50) -> float:
    """Return how many seconds the slowest of some calls took."""
    slowest = 0.0
    for _ in range(calls_):
        began = time.monotonic()
        stub.GetJob(pb.GetJobRequest(job_id=job_id), timeout=DEADLINE)
        slowest = max(slowest, time.monotonic() - began)
    return slowest


def test_reader_that_does_not_read(server: Server, stub: Any, large: Any) -> None:
    """A stream of 500 MB that nobody reads adds less than 10 MB to the server, and goes on when it is read."""
    grown = growth(server)
    with stuck_reader(server, large.job_id) as stream:
        wait_until_idle(server)
        assert grown() < MOST_GROWTH
        assert longest_answer(stub, large.job_id) < MOST_WAITING
        offset = next(stream).offset
        assert 0 < offset < MOST_GROWTH
        for message in stream:
            assert message.offset > offset
            offset = message.offset
        assert offset == LARGE
        assert message.ended.job_id == large.job_id


def test_twenty_readers_that_do_not_read(server: Server, stub: Any, large: Any) -> None:
    """Twenty of them, each with a connection of its own, add less than 2 MB each; one who reads is served."""
    grown = growth(server)
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(stuck_reader(server, large.job_id))
        wait_until_idle(server)
        assert longest_answer(stub, large.job_id) < MOST_WAITING
        check_the_last(stub, large)
        assert grown() < 20 * MOST_A_READER


def test_job_that_nobody_reads_is_not_slowed(server: Server, stub: Any, feed: Feed) -> None:
    """A job writes 500 MB to its end while its followers stand still: nothing stands between it and its file."""
    script = f'read -r line < "$0"; echo begun; read -r line < "$0"; head -c {LARGE} /dev/zero'
    job = start(stub, "sh", "-c", script, feed.argv[-1])
    feed.write(b"go\n")
    grown = growth(server)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(stuck_reader(server, job.job_id))
        feed.write(b"go\n")
        ended = stub.WaitJob(pb.WaitJobRequest(job_id=job.job_id), timeout=DEADLINE).job
        assert ended.exit_code == 0
        assert Path(job.log_path).stat().st_size == LARGE + len("begun\n")
        wait_until_idle(server)
        assert grown() < MOST_GROWTH
    Path(job.log_path).unlink()


def test_readers_that_go_away_leave_nothing(server: Server, stub: Any, large: Any) -> None:
    """When stuck readers go away, the server closes its descriptors of the log."""
    descriptors = Path(f"/proc/{server.pid}/fd")

    def opened() -> int:
        return sum(fd.readlink() == Path(large.log_path) for fd in descriptors.iterdir() if fd.is_symlink())

    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(stuck_reader(server, large.job_id))
        assert opened() == 1
    wait_until(lambda: opened() == 0, what="the end of the last follower")


def test_clients_that_vanish(server: Server, stub: Any) -> None:
    """A client that is killed in the middle of a stream is no error of the server's: only the audit tells."""
    job_id = start(stub, "head", "-c", str(SOME), "/dev/zero").job_id
    stub.WaitJob(pb.WaitJobRequest(job_id=job_id), timeout=DEADLINE)
    printed = server.printed()

    def cancelled() -> int:
        return sum(line["status"] == "CANCELLED" and line["job"] == job_id for line in ended_calls(server))

    for number in range(1, 11):
        reader = server.popen_cli("stream", job_id)
        assert reader.stdout is not None
        with reader:
            reader.stdout.read(number * 1000)
            reader.kill()
    wait_until(lambda: cancelled() == 10, DEADLINE, what="the end of ten streams")
    assert server.printed() == printed
