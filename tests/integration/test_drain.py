"""SIGTERM: the server lets go of its clients so that they come back, in bounded time, and its jobs run on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from jsched.job import Exited, JobSpec
from jsched.state import JobState
from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.aftermath import DEADLINE, assert_nothing_left, in_background, launches_held, paused, thread_states
from tests.helpers.feed import Feed
from tests.helpers.open_config import open_config
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

DRAIN = 1.5
# What a server needs to end besides: Python's own end, and a machine that is busy with other things.
SLACK = 8.0


@pytest.fixture
def hasty(tmp_path: Path, certs: Path) -> Iterator[Server]:
    """A server that drains for at most DRAIN seconds."""
    with Server(tmp_path / "server", certs, env={"JSCHED_DRAIN_TIMEOUT": str(DRAIN)}) as server:
        yield server


def test_calls_in_flight_end_with_unavailable(server: Server, feed: Feed) -> None:
    """A stream, a wait and a stop that are under way end with UNAVAILABLE at once, and the server with 0."""
    with calls.channel(server) as channel:
        stub = calls.stub(channel)
        job = stub.StartJob(pb.StartJobRequest(argv=feed.argv), timeout=DEADLINE)
        deaf = stub.StartJob(pb.StartJobRequest(argv=["sh", "-c", "trap '' TERM; echo up; sleep 1000 & wait; wait"]))
        stream = stub.StreamOutput(pb.StreamOutputRequest(job_id=job.job_id, follow=True), timeout=DEADLINE)
        feed.write(b"before\n")
        assert next(stream).data == b"before\n"
        assert next(stub.StreamOutput(pb.StreamOutputRequest(job_id=deaf.job_id, follow=True))).data == b"up\n"
        wait = stub.WaitJob.future(pb.WaitJobRequest(job_id=job.job_id), timeout=DEADLINE)
        stop = stub.StopJob.future(pb.StopJobRequest(job_id=deaf.job_id), timeout=DEADLINE)
        wait_until(lambda: (server.data_dir / "stops" / deaf.job_id).exists(), DEADLINE, "the stop request")
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < SLACK
        with pytest.raises(grpc.RpcError) as ended:
            list(stream)
        assert isinstance(ended.value, grpc.Call)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        for call in (wait, stop):
            assert call.exception(DEADLINE).code() is grpc.StatusCode.UNAVAILABLE
    server.start()
    client = server.client()
    assert client.get(job.job_id).state is JobState.RUNNING
    feed.end()
    assert client.wait(job.job_id).outcome == Exited(0)
    assert client.stop(deaf.job_id, 0).job.state is JobState.STOPPED
    assert_nothing_left(server)


def test_clients_come_back(server: Server, feed: Feed) -> None:
    """A restart on the same port works at once, and clients go on at the byte and in the wait where they were."""
    client = server.client()
    job = client.start(JobSpec(feed.argv))
    stream = client.follow(job.id)
    feed.write(b"one\n")
    assert next(stream).data == b"one\n"
    waiter = in_background(client.wait, job.id)
    printer = server.popen_cli("stream", job.id)
    assert printer.stdout is not None
    assert printer.stdout.readline() == b"one\n"
    for line in (b"two\n", b"three\n"):
        address = server.address
        server.restart()
        assert server.address == address
        feed.write(line)
        assert next(stream).data == line
    feed.end(b"four\n")
    assert b"".join(chunk.data for chunk in stream) == b"four\n"
    assert waiter.result(DEADLINE).outcome == Exited(0)
    output, said = printer.communicate(timeout=DEADLINE)
    assert output == b"two\nthree\nfour\n"
    assert b"reconnect" in said
    assert printer.returncode == 0


@contextlib.contextmanager
def hanging(server: Server) -> Iterator[None]:
    """Keep a stream open whose client does not read, so that the server can't send on."""
    client = server.client()
    job = client.wait(client.start(JobSpec(("head", "-c", "64000000", "/dev/zero"))).id)
    with server.popen_cli("stream", job.id) as reader:
        assert reader.stdout is not None
        assert reader.stdout.read(1)
        try:
            # Stopped, it makes no more room: once the server has come to rest it can't go on.
            with paused(reader.pid):
                wait_until(Idle(server), DEADLINE, "a server that can send no more")
                yield
        finally:
            reader.kill()


class Idle:
    """Whether all threads of a process were asleep, and none had used the CPU, the last so many times it was asked."""

    def __init__(self, server: Server, times: int = 20) -> None:
        self._pid = server.pid
        self._times = times
        self._looks: list[tuple[str, ...]] = []

    def __call__(self) -> bool:
        """Look once more."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        # utime and stime, proc(5).
        look = (*fields[11:13], *sorted(thread_states(self._pid)))
        self._looks.append(look)
        return look[2:] == ("S",) and self._looks[-self._times :] == [look] * self._times


def test_a_client_that_does_not_read(hasty: Server) -> None:
    """A client that has stopped reading its stream holds the server up for as long as it drains, and no longer."""
    with hanging(hasty):
        began = time.monotonic()
        assert hasty.terminate() == 0
        assert DRAIN * 0.9 < time.monotonic() - began < DRAIN + SLACK


def test_connections_that_say_nothing(hasty: Server) -> None:
    """Connections without a handshake, or without a call, hold nothing up."""
    host, port = hasty.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))), calls.channel(hasty) as channel:
        calls.stub(channel).ListJobs(pb.ListJobsRequest(), timeout=DEADLINE)
        began = time.monotonic()
        assert hasty.terminate() == 0
        assert time.monotonic() - began < DRAIN + SLACK


def test_a_second_sigterm(hasty: Server) -> None:
    """Another SIGTERM, and an interrupt, while the server drains change nothing: it ends with 0 and its jobs run on."""
    client = hasty.client()
    runs_on = client.start(JobSpec(("sleep", "1000")))
    with hanging(hasty):
        began = time.monotonic()
        os.kill(hasty.pid, signal.SIGTERM)
        wait_until(lambda: "shutting down" in hasty.printed(), DEADLINE, "the drain")
        os.kill(hasty.pid, signal.SIGINT)
        assert hasty.terminate() == 0
        assert DRAIN * 0.9 < time.monotonic() - began < DRAIN + SLACK
    assert "Traceback" not in hasty.printed()
    hasty.start()
    assert hasty.client().get(runs_on.id).state is JobState.RUNNING
    hasty.client().stop(runs_on.id, 0)
    assert_nothing_left(hasty)


def test_new_calls_while_it_drains(hasty: Server) -> None:
    """A call that comes while the server drains is answered UNAVAILABLE, and nothing is started by it."""
    ran = hasty.root / "ran"
    with hanging(hasty), calls.channel(hasty) as channel:
        stub = calls.stub(channel)
        os.kill(hasty.pid, signal.SIGTERM)
        wait_until(lambda: "shutting down" in hasty.printed(), DEADLINE, "the drain")
        error = calls.failed(stub.StartJob, pb.StartJobRequest(argv=["touch", str(ran)]))
        assert isinstance(error, grpc.Call)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert hasty.terminate() == 0
    assert not ran.exists()


def test_a_start_that_hangs(hasty: Server) -> None:
    """A start that no monitor takes ends with the drain, and the next server does it once, or not at all."""
    client = hasty.client()
    client.list()
    ran = hasty.root / "ran"
    with launches_held(hasty.launcher_pid):
        started = in_background(client.start, JobSpec(("sh", "-c", f"echo ran >> {ran}")), request_id="one")
        wait_until(lambda: "pending" in hasty.cli("list", text=True).stdout, DEADLINE, "the start")
        began = time.monotonic()
        assert hasty.terminate() == 0
        # A launcher that is stopped has to be killed, which it has some seconds to make unnecessary.
        assert time.monotonic() - began < DRAIN + SLACK + 6
        hasty.start()
    job = client.wait(started.result(DEADLINE).id)
    assert job.outcome == Exited(0)
    assert ran.read_text() == "ran\n"
    assert_nothing_left(hasty)


def test_an_engine_in_a_program(tmp_path: Path) -> None:
    """An engine that is closed during a start, a wait and a stop ends them with Unavailable."""
    asyncio.run(asyncio.wait_for(_close_an_engine(tmp_path), DEADLINE))


async def _close_an_engine(root: Path) -> None:
    from jsched import Engine
    from jsched.errors import Unavailable

    engine = Engine(open_config(root, drain_timeout=0.5))
    await engine.open()
    job = await engine.start(JobSpec(["sleep", "1000"]))
    wait = asyncio.create_task(engine.wait(job.id))
    async with await engine.follow(job.id) as follower:
        reading = asyncio.create_task(follower.read())
        with launches_held(_launcher()):
            start = asyncio.create_task(engine.start(JobSpec(["true"])))
            while len((await engine.list()).jobs) < 2:  # noqa: ASYNC110 - nothing tells of a row
                await asyncio.sleep(0)
            await engine.close()
        for task in (wait, reading, start):
            with pytest.raises(Unavailable):
                await task
    async with Engine(open_config(root)) as again:
        assert [one.id for one in (await again.list()).jobs] == [job.id]
        assert (await again.stop(job.id, grace=0)).job.state is JobState.STOPPED


def _launcher() -> int:
    """Return the pid of the launcher of this process's engine."""
    threads = Path("/proc/self/task").iterdir()
    children = [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    launchers = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "jsched-launcher\n"]
    assert len(launchers) == 1
    return launchers[0]
