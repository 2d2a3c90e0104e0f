"""The library: an engine in this process, with no server and no gRPC."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jsched
from jsched import (
    Config,
    Engine,
    Exited,
    FailedStep,
    Job,
    JobFilter,
    JobSpec,
    JobState,
    Reason,
    Signaled,
)
from jsched.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ResourceExhausted,
    StartFailed,
    Unavailable,
)
from jsched.linux import process
from jsched.store import Store
from tests.helpers.calls import DEADLINE, run
from tests.helpers.feed import Feed
from tests.helpers.open_config import open_config
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    """An engine's configuration; jobs that the test leaves running are stopped."""
    config = open_config(tmp_path)
    yield config

    async def stop_all() -> None:
        async with Engine(config) as engine:
            page = await engine.list(JobFilter(states=frozenset({JobState.PENDING, JobState.RUNNING})))
            for job in page.jobs:
                await engine.stop(job.id, grace=0)

    run(stop_all())


def is_there(job: Job) -> bool:
    """Tell whether there is a process with the job's number."""
    return Path(f"/proc/{job.pid}").exists()


async def read_to_end(engine: Engine, job_id: str, offset: int = 0) -> bytes:
    """Follow a job to its end."""
    async with await engine.follow(job_id, offset=offset) as follower:
        return b"".join([chunk.data async for chunk in follower])


def test_a_job_from_start_to_end(config: Config) -> None:
    """A job is started, followed, waited for, found and removed with the library alone."""

    async def test() -> None:
        async with Engine(config) as engine:
            job = await engine.start(JobSpec(["sh", "-c", "echo out; echo err >&2; exit 3"], name="one"), owner="me")
            assert (job.state, job.owner, job.outcome) == (JobState.RUNNING, "me", None)
            assert await read_to_end(engine, "one") == b"out\nerr\n"
            ended = await engine.wait(job.id)
            assert (ended.state, ended.outcome) == (JobState.COMPLETED, Exited(3))
            assert ended.duration is not None
            assert await engine.get("one") == ended == await engine.get(job.id[:8])
            assert (await engine.list()).jobs == (ended,)
            assert await engine.remove("one") == ended
            with pytest.raises(NotFound):
                await engine.get(job.id)
            with pytest.raises(NotFound):
                await engine.follow(job.id)
            assert (await engine.list()).jobs == ()

    run(test())
    assert list(config.log_dir.iterdir()) == []


def test_start_that_fails(config: Config) -> None:
    """A command that can't be executed raises StartFailed with step and errno; its job is FAILED, its log empty."""

    async def test() -> None:
        async with Engine(config) as engine:
            with pytest.raises(StartFailed) as failed:
                await engine.start(JobSpec(["/nonexistent"]))
            assert (failed.value.step, failed.value.errno) == ("exec", 2)
            job = await engine.wait(failed.value.job_id)
            assert (job.state, job.outcome) == (JobState.FAILED, FailedStep("exec", 2))
            assert await read_to_end(engine, job.id) == b""
            with pytest.raises(StartFailed):
                await engine.start(JobSpec(["true"], workdir="/nonexistent"))

    run(test())


def test_bad_requests(config: Config) -> None:
    """What is wrong with a request is said by the type of the error, before anything is done."""

    async def test() -> None:
        async with Engine(config) as engine:
            job = await engine.start(JobSpec(["sleep", "1000"], name="taken"))
            with pytest.raises(AlreadyExists):
                await engine.start(JobSpec(["true"], name="taken"))
            with pytest.raises(FailedPrecondition):
                await engine.remove(job.id)
            with pytest.raises(OutOfRange):
                await engine.follow(job.id, offset=1)
            with pytest.raises(InvalidArgument):
                await engine.follow(job.id, offset=-1)
            with pytest.raises(InvalidArgument):
                await engine.stop(job.id, grace=-1)
            with pytest.raises(InvalidArgument):
                await engine.stop(job.id, grace=float("nan"))
            with pytest.raises(InvalidArgument):
                await engine.list(page_size=-1)
            with pytest.raises(InvalidArgument):
                await engine.start(JobSpec(["true"]), request_id="")
            assert len((await engine.list()).jobs) == 1

    run(test())


def test_stop(config: Config) -> None:
    """A stop returns when the job is gone, with how it ended; a second one says that it had ended."""

    async def test() -> None:
        async with Engine(config) as engine:
            job = await engine.start(JobSpec(["sleep", "1000"]))
            result = await engine.stop(job.id, by="me")
            assert not result.already_ended
            assert (result.job.state, result.job.outcome) == (JobState.STOPPED, Signaled(signal.SIGTERM))
            assert (result.job.stopped_by, result.job.forced) == ("me", False)
            assert not is_there(job)
            again = await engine.stop(job.id)
            assert (again.already_ended, again.job) == (True, result.job)

    run(test())


def test_time_limit(config: Config) -> None:
    """A time limit ends a job and is told as its reason."""

    async def test() -> None:
        async with Engine(config) as engine:
            job = await engine.wait((await engine.start(JobSpec(["sleep", "1000"], timeout=0.1))).id)
            assert (job.state, job.reason) == (JobState.TERMINATED, Reason.TIME_LIMIT)

    run(test())


def test_lines(config: Config, feed: Feed) -> None:
    """Iteration by line gives each line as it comes, and the last one without its line break if it has none."""

    async def test() -> None:
        async with Engine(config) as engine:
            job = await engine.start(JobSpec(feed.argv))
            async with await engine.follow(job.id) as follower:
                lines = follower.lines()
                for line in (b"one\n", b"\n", b"\0\xff\n", b"x" * 3000 + b"\n"):
                    feed.write(line)
                    assert await anext(lines) == line
                await asyncio.to_thread(feed.end, b"two\nhalf")
                assert [line async for line in lines] == [b"two\n", b"half"]
                assert follower.finished

    run(test())


def test_read_nowait(config: Config, feed: Feed) -> None:
    """read_nowait never waits: it gives what is there, None where nothing is, and sets finished at the end."""

    async def test() -> None:
        async with Engine(config) as engine:
            job = await engine.start(JobSpec(feed.argv))
            async with await engine.follow(job.id) as follower:
                assert follower.read_nowait() is None
                feed.write(b"some")
                wait_until(lambda: Path(job.log_path).stat().st_size == 4, what="the output")
                chunk = follower.read_nowait()
                assert chunk is not None
                assert (chunk.offset, chunk.data, chunk.end) == (0, b"some", 4)
                assert follower.read_nowait() is None
                assert not follower.finished
                await asyncio.to_thread(feed.end, b"!")
                last = await follower.read()
                assert last is not None
                assert (last.offset, last.data) == (4, b"!")
                await engine.wait(job.id)
                assert follower.read_nowait() is None
                assert follower.finished
                assert await follower.read() is None

    run(test())


def test_request_ids(config: Config) -> None:
    """The same owner's same request id is one job, however often and however much at once it is sent."""

    async def test() -> None:
        async with Engine(config) as engine:
            starts = [engine.start(JobSpec(["echo", "x"]), request_id="r") for _ in range(10)]
            jobs = await asyncio.gather(*starts)
            assert len({job.id for job in jobs}) == 1
            await engine.wait(jobs[0].id)
            other = await engine.start(JobSpec(["echo", "x"]), request_id="r", owner="other")
            assert other.id != jobs[0].id
            await engine.wait(other.id)
            with pytest.raises(AlreadyExists):
                await engine.start(JobSpec(["echo", "y"]), request_id="r")

    run(test())


def test_two_engines_on_one_directory(config: Config) -> None:
    """A second engine on a data directory is refused and harms nothing; it may come once the first has closed."""

    async def test() -> None:
        async with Engine(config) as engine:
            with pytest.raises(FailedPrecondition, match="another jsched uses"):
                await Engine(config).open()
            opened = f"Engine(Config({str(config.data_dir)!r}, {str(config.log_dir)!r})).open()"
            code = f"import asyncio; from jsched import *; asyncio.run({opened})"
            other = await asyncio.to_thread(
                subprocess.run, [sys.executable, "-c", code], capture_output=True, timeout=DEADLINE, check=False
            )
            assert b"FailedPrecondition" in other.stderr
            job = await engine.start(JobSpec(["echo", "x"]))
            assert await read_to_end(engine, job.id) == b"x\n"
        async with Engine(config) as engine:
            assert (await engine.get(job.id)).state is JobState.COMPLETED

    run(test())


def test_engine_that_is_opened_again(config: Config, feed: Feed) -> None:
    """Jobs outlive their engine: the next one follows, waits for and stops them, and knows those that ended."""

    async def start() -> tuple[Job, Job, Job]:
        async with Engine(config) as engine:
            runs = await engine.start(JobSpec(feed.argv))
            sleeps = await engine.start(JobSpec(["sleep", "1000"]))
            brief = await engine.start(JobSpec(["sh", "-c", 'read -r line < "$0"; exit 6', feed.argv[-1] + ".brief"]))
            feed.write(b"first\n")
            follower = await engine.follow(runs.id)
            assert await anext(follower.lines()) == b"first\n"
            return runs, sleeps, brief

    async def go_on(runs: Job, sleeps: Job, brief: Job) -> None:
        async with Engine(config) as engine:
            assert (await engine.get(runs.id)).state is JobState.RUNNING
            waiting = asyncio.create_task(engine.wait(runs.id))
            reading = asyncio.create_task(read_to_end(engine, runs.id))
            feed.write(b"second\n")
            await asyncio.to_thread(feed.end, b"third\n")
            assert await reading == b"first\nsecond\nthird\n"
            assert (await waiting).outcome == Exited(0)
            assert (await engine.get(brief.id)).outcome == Exited(6)
            assert (await engine.stop(sleeps.id)).job.outcome == Signaled(signal.SIGTERM)

    with Feed(Path(feed.argv[-1] + ".brief")) as brief_feed:
        runs, sleeps, brief = run(start())
        assert brief.pid is not None
        brief_start = process.start_time(brief.pid)
        brief_feed.write(b"end\n")
        wait_until(lambda: not process.is_alive(brief.pid or 0, brief_start), what="an end that no engine sees")
        run(go_on(runs, sleeps, brief))


def test_close_ends_waits_and_followers(config: Config) -> None:
    """Closing an engine ends every wait and every follower with Unavailable, and leaves the job running."""

    async def test() -> None:
        engine = Engine(config)
        await engine.open()
        job = await engine.start(JobSpec(["sleep", "1000"]))
        follower = await engine.follow(job.id)
        waiting = [asyncio.create_task(engine.wait(job.id)), asyncio.create_task(follower.read())]
        await asyncio.sleep(0)
        await engine.close()
        for task in waiting:
            with pytest.raises(Unavailable):
                await task
        assert is_there(job)

    run(test())


def test_many_jobs_at_once(config: Config) -> None:
    """A hundred jobs started at once all run, each with its own output and outcome."""

    async def one(engine: Engine, number: int) -> None:
        job = await engine.start(JobSpec(["sh", "-c", f"echo {number}; exit {number}"]))
        assert await read_to_end(engine, job.id) == b"%d\n" % number
        assert (await engine.wait(job.id)).outcome == Exited(number)

    async def test() -> None:
        async with Engine(config) as engine:
            await asyncio.gather(*(one(engine, number) for number in range(100)))

    run(test())


def test_a_start_without_a_descriptor_left_is_refused_and_forgotten(config: Config) -> None:
    """Where RLIMIT_NOFILE is reached a start says so, and leaves no job that is for ever about to start."""

    async def start_more_than_there_are_descriptors_for(engine: Engine) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)
        os.close(free)
        # One for the monitor of the job that finds one waiting, none for a second monitor.
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
        try:
            for _ in range(3):
                await engine.start(JobSpec(["sleep", "1000"]))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    async def test() -> None:
        async with Engine(config) as engine:
            with pytest.raises(ResourceExhausted, match="Too many open files") as caught:
                await start_more_than_there_are_descriptors_for(engine)
            assert caught.value.obj == "RLIMIT_NOFILE"
            assert not (await engine.list(JobFilter(states=frozenset({JobState.PENDING})))).jobs
            assert is_there(await engine.start(JobSpec(["sleep", "1000"])))

    run(test())


def test_engine_needs_no_grpc() -> None:
    """Importing the library's engine imports no gRPC and no protobuf."""
    code = "import jsched.engine, json, sys; from jsched import *; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, timeout=DEADLINE)
    modules = json.loads(result.stdout)
    assert "jsched.engine" in modules
    unwanted = {"grpc", "google", "grpc_status", "grpc_health", "grpc_reflection", "cryptography"}
    assert not [name for name in modules if name.split(".")[0] in unwanted]
    assert not [name for name in modules if name.startswith(("jsched.server", "jsched.client", "jsched.v1"))]


def test_public_names() -> None:
    """Everything in `jsched.__all__` is there, and dir() shows nothing else."""
    assert sorted(jsched.__all__) == dir(jsched)
    for name in jsched.__all__:
        assert getattr(jsched, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        jsched.nonsense  # noqa: B018


def test_an_engine_that_is_not_open(config: Config) -> None:
    """Before it is open, and once it was closed, an engine refuses whatever is asked of it at once."""

    async def test() -> None:
        engine = Engine(config)

        async def refuses_all() -> None:
            for ask in (
                lambda: engine.start(JobSpec(["true"])),
                lambda: engine.stop(job.id),
                lambda: engine.get(job.id),
                lambda: engine.list(),
                lambda: engine.wait(job.id),
                lambda: engine.stats(),
                lambda: engine.follow(job.id),
                lambda: engine.remove(job.id),
            ):
                with pytest.raises(FailedPrecondition, match="the engine is not open"):
                    await asyncio.wait_for(ask(), DEADLINE)

        async with Engine(config) as other:
            job = await other.wait((await other.start(JobSpec(["true"]))).id)
        await engine.close()
        await refuses_all()
        async with engine:
            assert (await engine.get(job.id)).outcome == Exited(0)
        await engine.close()
        await refuses_all()

    run(test())


def test_a_stop_whose_end_cant_be_written_is_told_so_and_the_end_is_written_later(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops a job is told that nothing is left of it and that there is no room for its end, which is kept."""

    async def full(*_: object) -> Job:
        raise ResourceExhausted("no space left")

    async def test() -> None:
        async with Engine(config) as engine:
            job = await engine.start(JobSpec(("sleep", "1000")))
            with monkeypatch.context() as patch:
                patch.setattr(Store, "advance", full)
                patch.setattr("jsched.settler._PATIENCE", 0)
                with pytest.raises(ResourceExhausted, match=rf"nothing is left of job {job.id}.*no space left"):
                    await engine.stop(job.id)
                assert (await engine.get(job.id)).state is JobState.RUNNING
            ended = await engine.wait(job.id)
            assert (ended.state, ended.outcome) == (JobState.STOPPED, Signaled(15))

    run(test())
