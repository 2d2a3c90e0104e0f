"""Starts, stops and ends that meet each other in one engine, with a real launcher and a real database."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jsched import Engine
from jsched.errors import AlreadyExists, NotFound, StartFailed, Unavailable
from jsched.job import Exited, Job, JobSpec
from jsched.linux import process
from jsched.state import JobState
from jsched.supervisor import record
from jsched.supervisor.client import Supervisor
from tests.helpers.aftermath import is_gone
from tests.helpers.feed import Feed
from tests.helpers.open_config import open_config
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(60)


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[Engine]:
    """An engine whose jobs are ended with it."""
    async with Engine(open_config(root, drain_timeout=2)) as engine:
        try:
            yield engine
        finally:
            for job in (await engine.list()).jobs:
                if not job.state.ended:
                    await engine.stop(job.id, grace=0)


def run(root: Path, test: Callable[[Engine], Awaitable[None]]) -> None:
    """Run a test with an engine of its own."""

    async def whole() -> None:
        async with asyncio.timeout(50), opened(root) as engine:
            await test(engine)

    asyncio.run(whole())


def left(root: Path) -> list[str]:
    """Return the files about jobs in the data directory."""
    return [path.name for name in ("runs", "exits", "stops") for path in (root / "data" / name).iterdir()]


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition, off the event loop."""
    await asyncio.to_thread(wait_until, condition, 20.0, what)


def counted(root: Path) -> JobSpec:
    """Return a command that adds a line to root/ran."""
    return JobSpec(["sh", "-c", f"echo ran >> {root}/ran"])


def test_one_request_many_times(tmp_path: Path) -> None:
    """The same request id, sent many times at once, is one job, and runs once."""

    async def test(engine: Engine) -> None:
        spec = counted(tmp_path)
        jobs = await asyncio.gather(*(engine.start(spec, request_id="one") for _ in range(20)))
        assert len({job.id for job in jobs}) == 1
        assert (await engine.wait(jobs[0].id)).outcome == Exited(0)
        assert (tmp_path / "ran").read_text() == "ran\n"
        assert (await engine.start(spec, request_id="one")).id == jobs[0].id
        with pytest.raises(AlreadyExists):
            await engine.start(JobSpec(["true"]), request_id="one")

    run(tmp_path, test)


def test_one_failing_request_many_times(tmp_path: Path) -> None:
    """The same request id of a command that can't be executed is one failed job, told to everyone."""

    async def test(engine: Engine) -> None:
        spec = JobSpec(["/no/such/command"])
        results = await asyncio.gather(
            *(engine.start(spec, request_id="one") for _ in range(20)), return_exceptions=True
        )
        failures = [result for result in results if isinstance(result, StartFailed)]
        assert len(failures) == len(results)
        assert {(failure.step, failure.errno) for failure in failures} == {("exec", errno.ENOENT)}
        (job,) = (await engine.list()).jobs
        assert {failure.job_id for failure in failures} == {job.id}
        assert job.state is JobState.FAILED

    run(tmp_path, test)


def test_a_start_that_came_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no monitor to be had a start leaves nothing, is told to all who asked, and may be tried again."""

    async def test(engine: Engine) -> None:
        real = sys.executable
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        pid = launcher()
        await until(lambda: bool(process.children(pid)), "the spare monitor")
        spare = process.family(pid)
        for one in (pid, *spare):
            os.kill(one, signal.SIGKILL)
        await until(lambda: not any(process.is_alive(*one) for one in spare.items()), "the end of the spare monitor")
        spec = JobSpec(["true"], name="mine")
        results = await asyncio.gather(
            *(engine.start(spec, request_id="one") for _ in range(10)), return_exceptions=True
        )
        assert [type(result) for result in results] == [Unavailable] * len(results)
        assert (await engine.list()).jobs == ()
        assert list((tmp_path / "logs").iterdir()) == []
        with pytest.raises(NotFound):
            await engine.get("mine")
        monkeypatch.setattr(sys, "executable", real)
        job = await again(lambda: engine.start(spec, request_id="one"))
        assert (await engine.wait(job.id)).outcome == Exited(0)

    run(tmp_path, test)


def launcher() -> int:
    """Return the pid of the launcher of this process's engine."""
    threads = Path("/proc/self/task").iterdir()
    children = [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    (one,) = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "jsched-launcher\n"]
    return one


async def again(start: Callable[[], Awaitable[Any]]) -> Any:
    """Try until it is no longer Unavailable: the supervisor rests after launchers that failed."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await start()
            except Unavailable:
                await asyncio.sleep(0.05)


def test_a_caller_that_goes_away(tmp_path: Path) -> None:
    """A start whose caller is cancelled is done all the same, and found by its request id."""

    async def test(engine: Engine) -> None:
        spec = counted(tmp_path)
        task = asyncio.create_task(engine.start(spec, request_id="one"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        job = await engine.start(spec, request_id="one")
        assert (await engine.wait(job.id)).outcome == Exited(0)
        assert (tmp_path / "ran").read_text() == "ran\n"

    run(tmp_path, test)


def test_a_stop_that_is_overtaken_by_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that is noted when its job has ended signals no other job, and leaves no note."""
    ended = threading.Event()
    noting = threading.Event()
    note_stop = Supervisor.note_stop

    def late(self: Supervisor, job_id: str, grace: float) -> None:
        noting.set()
        assert ended.wait(20)
        note_stop(self, job_id, grace)

    async def test(engine: Engine) -> None:
        with Feed(tmp_path / "feed") as feed:
            job = await engine.start(JobSpec(feed.argv))
            monkeypatch.setattr(Supervisor, "note_stop", late)
            stop = asyncio.create_task(engine.stop(job.id))
            await until(noting.is_set, "the note")
            await asyncio.to_thread(feed.end)
            assert (await engine.wait(job.id)).outcome == Exited(0)
        # The first of these is given the descriptor that the ended job's monitor had.
        others = [await engine.start(JobSpec(["sh", "-c", "trap 'echo hit' TERM; sleep 2 & wait"])) for _ in range(5)]
        ended.set()
        monkeypatch.undo()
        assert (await stop).job.outcome == Exited(0)
        for other in others:
            after = await engine.wait(other.id)
            assert (after.state, output(after)) == (JobState.COMPLETED, b"")
        await until(lambda: not left(tmp_path), "the removal of all records")

    run(tmp_path, test)


def test_short_of_descriptors_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start and an end that the host has no descriptor left for are seen as soon as it has one."""
    failures = {"open_process": 1, "read_exit": 2}

    def once(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*args: Any) -> Any:
            if failures[name]:
                failures[name] -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return real(*args)

        return attempt

    async def test(engine: Engine) -> None:
        monkeypatch.setattr(process, "open_process", once("open_process", process.open_process))
        monkeypatch.setattr(record, "read_exit", once("read_exit", record.read_exit))
        job = await engine.start(counted(tmp_path))
        assert (await engine.wait(job.id)).outcome == Exited(0)
        assert failures == {"open_process": 0, "read_exit": 0}
        assert (tmp_path / "ran").read_text() == "ran\n"

    run(tmp_path, test)


def test_a_record_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that writes its record and ends just after the record was looked for in vain is not lost."""
    real = record.read_exit
    looks: list[bool] = []

    with Feed(tmp_path / "feed") as feed:

        def look(exits_dir: Any, job_id: str) -> Any:
            looks.append(True)
            if len(looks) > 1:
                return real(exits_dir, job_id)
            # Between this look's finding nothing and its telling so, the job ends, and the monitor too.
            found = real(exits_dir, job_id)
            feed.end()
            run = record.read_run(tmp_path / "data" / "runs", job_id)
            assert run is not None
            wait_until(lambda: real(exits_dir, job_id), 20, "the exit record")
            os.kill(run.monitor_pid, signal.SIGKILL)
            wait_until(lambda: is_gone(run.monitor_pid, run.monitor_start), 20, "the monitor's end")
            return found

        async def test(engine: Engine) -> None:
            job = await engine.start(JobSpec(["sh", "-c", f"cat {feed.path}; exit 3"]))
            monkeypatch.setattr(record, "read_exit", look)
            # Something that is no record rings the bell.
            exits = tmp_path / "data" / "exits"
            (exits / ".made-up").write_bytes(b"{")
            (exits / ".made-up").rename(exits / job.id)
            assert (await engine.wait(job.id)).outcome == Exited(3)
            assert looks

        run(tmp_path, test)


def output(job: Job) -> bytes:
    return Path(job.log_path).read_bytes()
