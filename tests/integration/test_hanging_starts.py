"""Starts that hang: they are ended by their time limit or by a stop, everybody is told, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jsched import Config, Engine
from jsched.errors import NotFound, StartFailed
from jsched.job import Exited, FailedStep, Job, JobSpec
from jsched.linux import process
from jsched.state import JobState
from tests.helpers.calls import run
from tests.helpers.engine import opened
from tests.helpers.lease import a_program, leased
from tests.helpers.open_config import open_config
from tests.helpers.wait import wait_until
from tests.helpers.walled import needs_root
from tests.unit.test_lifecycle import launcher

pytestmark = pytest.mark.timeout(60)
WALLED = pytest.param(True, id="walled", marks=needs_root)
PLAIN = pytest.param(False, id="plain")
LONG = 1000.0
# Seconds: much longer than an ordinary start takes on a machine that is busy, too.
SHORT = 1.5


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    """A program for leased(), where jobs behind walls see it too: not in /tmp."""
    if os.geteuid() != 0:
        yield a_program(tmp_path / "program")
        return
    with tempfile.TemporaryDirectory(dir="/var/lib", prefix="jsched-test-") as directory:
        Path(directory).chmod(0o755)
        yield a_program(Path(directory) / "program")


def config_of(root: Path, *, walled: bool, start_timeout: float) -> Config:
    if not walled:
        return open_config(root, start_timeout=start_timeout)
    return Config(data_dir=root / "data", log_dir=root / "logs", start_timeout=start_timeout)


async def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition, off the event loop."""
    await asyncio.to_thread(wait_until, condition, 30.0, what)


def records(config: Config) -> list[str]:
    """Return what the data directory holds about jobs."""
    return [path.name for name in (config.runs_dir, config.exits_dir, config.stops_dir) for path in name.iterdir()]


def is_marked(job_id: str) -> bool:
    """Return whether a process or a cgroup of a job is there."""
    groups = (name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names)
    return bool(process.processes_with_environment(f"JSCHED_JOB_ID={job_id}".encode())) or job_id in groups


async def nothing_is_left(engine: Engine, config: Config, job: Job) -> None:
    """Check that a job's start has left its row and an ordinary, empty log, and that the next start works."""
    assert (await engine.get(job.id)) == job
    assert (await engine.wait(job.id)) == job
    await until(lambda: not records(config), "the removal of all records")
    await until(lambda: not is_marked(job.id), "the end of all processes and cgroups")
    async with await engine.follow(job.id) as follower:
        assert [chunk async for chunk in follower] == []
    following = await engine.start(JobSpec(["true"]))
    assert (await engine.wait(following.id)).outcome == Exited(0)
    await engine.remove(job.id)


async def failure(start: Awaitable[object]) -> StartFailed:
    with pytest.raises(StartFailed) as raised:
        await start
    return raised.value


@pytest.mark.parametrize("walled", [PLAIN, WALLED])
def test_time_limit(tmp_path: Path, program: Path, *, walled: bool) -> None:
    """A command whose exec hangs has failed to start when the time for that is over."""
    config = config_of(tmp_path, walled=walled, start_timeout=SHORT)

    async def test() -> None:
        async with opened(config) as engine:
            spec = JobSpec([str(program)], name="hangs")
            with leased(program):
                error = await failure(engine.start(spec, request_id="once"))
            assert (error.step, error.errno, error.obj) == ("start", errno.ETIMEDOUT, str(program))
            assert error.message == f"start of {str(program)!r} has taken longer than {SHORT:g} seconds, and was ended"
            again = await failure(engine.start(spec, request_id="once"))
            assert (again.step, again.errno, again.job_id) == (error.step, error.errno, error.job_id)
            job = await engine.get(error.job_id)
            assert (job.state, job.outcome) == (JobState.FAILED, FailedStep("start", errno.ETIMEDOUT))
            await nothing_is_left(engine, config, job)
            assert (await engine.wait((await engine.start(spec)).id)).outcome == Exited(0)

    run(test())


@pytest.mark.parametrize("walled", [PLAIN, WALLED])
def test_a_stop_ends_it(tmp_path: Path, program: Path, *, walled: bool) -> None:
    """A stop does not wait for a start that hangs: it is ended, and whoever asked for the start is told by whom."""
    config = config_of(tmp_path, walled=walled, start_timeout=LONG)

    async def test() -> None:
        async with opened(config) as engine:
            with leased(program):
                start = asyncio.create_task(engine.start(JobSpec([str(program)], name="hangs"), owner="alice"))
                await until(lambda: records(config), "the run record")
                waiting = asyncio.create_task(engine.wait("hangs"))
                results = await asyncio.gather(*(engine.stop("hangs", by="bob", visible_to="alice") for _ in range(3)))
                error = await failure(start)
            assert (error.step, error.errno) == ("start", errno.ECANCELED)
            assert error.message == f"start of {str(program)!r} was ended by a stop"
            job = results[0].job
            assert [(result.job, result.already_ended) for result in results] == [(job, False)] * 3
            assert (job.id, job.state, job.stopped_by) == (error.job_id, JobState.FAILED, "bob")
            assert job.outcome == FailedStep("start", errno.ECANCELED)
            assert await waiting == job
            await nothing_is_left(engine, config, job)

    run(test())


@pytest.mark.parametrize("by_stop", [True, False])
def test_a_suspended_monitor(tmp_path: Path, *, by_stop: bool) -> None:
    """A start whose monitor does nothing any more is ended as any other, and never begins."""
    config = config_of(tmp_path, walled=False, start_timeout=LONG if by_stop else SHORT)

    async def test() -> None:
        async with opened(config) as engine:
            await engine.wait((await engine.start(JobSpec(["true"]))).id)
            # Either of the two may be used next, and one that has not said who it is can't be ended while suspended.
            await until(lambda: have_said_who_they_are(process.children(launcher()), 2), "two monitors that wait")
            monitors = process.family(launcher())
            with suspended(*monitors):
                start = asyncio.create_task(engine.start(touching(tmp_path), owner="alice"))
                if by_stop:
                    # With some patience, so that the monitor has been sent the job.
                    await stopped(engine, "hangs", grace=None)
                error = await failure(start)
                assert error.errno == (errno.ECANCELED if by_stop else errno.ETIMEDOUT)
                await until(lambda: not all(process.is_alive(*one) for one in monitors.items()), "the monitor's end")
            await nothing_is_left(engine, config, await engine.get(error.job_id))
            assert not (tmp_path / "ran").exists()

    run(test())


def test_a_suspended_launcher(tmp_path: Path) -> None:
    """A start for which there is no monitor yet is ended by a stop, and is not begun by one that comes later."""
    config = config_of(tmp_path, walled=False, start_timeout=LONG)

    async def test() -> None:
        async with opened(config) as engine:
            pid = launcher()
            await until(lambda: process.children(pid), "a spare monitor")
            spare = process.family(pid)
            with suspended(pid):
                for one in spare:
                    os.kill(one, signal.SIGKILL)
                await until(lambda: not any(process.is_alive(*one) for one in spare.items()), "the spare's end")
                start = asyncio.create_task(engine.start(touching(tmp_path), owner="alice"))
                await stopped(engine, "hangs", grace=0)
                error = await failure(start)
                assert error.errno == errno.ECANCELED
            await nothing_is_left(engine, config, await engine.get(error.job_id))
            assert not (tmp_path / "ran").exists()

    run(test())


@contextlib.contextmanager
def suspended(*pids: int) -> Iterator[None]:
    """Keep processes stopped, of which some may be killed meanwhile."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def have_said_who_they_are(monitors: list[int], number: int) -> bool:
    """Return whether there are so many monitors, and all of them wait for a job: nothing else lets them sleep."""
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in monitors]
    return len(stats) >= number and all("(jsched-monitor) S " in stat for stat in stats)


def touching(root: Path) -> JobSpec:
    """Return a command that leaves a file behind."""
    return JobSpec(["touch", str(root / "ran")], name="hangs")


async def stopped(engine: Engine, name: str, *, grace: float | None) -> None:
    """Stop a job as soon as it is known, and check that it has failed."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(NotFound):
                assert (await engine.stop(name, grace=grace)).job.state is JobState.FAILED
                return
            await asyncio.sleep(0.01)
