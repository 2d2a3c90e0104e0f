"""What a server is doing, in numbers: counted by the engine, told over the wire and at a shell."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from jsched import Engine, JobSpec, Load, Stats
from jsched.client import AsyncClient
from jsched.errors import StartFailed
from jsched.isolation.hierarchy import NoHierarchy
from jsched.profile import Profile
from jsched.state import JobState
from tests.helpers.calls import config, run
from tests.helpers.open_config import open_config
from tests.helpers.server import Server

pytestmark = pytest.mark.timeout(60)


async def load_of(engine: Engine, jobs: int, visible_to: str | None = None) -> Load:
    """Return the load of so many jobs; a job that has just been started may not be in its cgroup yet."""
    async with asyncio.timeout(30):
        while True:
            load = (await engine.stats(visible_to=visible_to)).load
            if load.jobs == jobs and (load.pids or 0) >= jobs:
                return load
            await asyncio.sleep(0.01)


def test_the_engine_counts(tmp_path: Path) -> None:
    """Jobs are counted by state, usage is summed, followers are counted; of one user nothing of the others'."""

    async def test() -> None:
        async with Engine(open_config(tmp_path)) as engine:
            assert await engine.stats() == Stats({}, Load(), 0)
            sleepers = [
                await engine.start(JobSpec(["sleep", "1000"]), owner=owner) for owner in ("alice", "alice", "bob")
            ]
            try:
                await engine.wait((await engine.start(JobSpec(["true"]), owner="alice")).id)
                with pytest.raises(StartFailed):
                    await engine.start(JobSpec(["/no/such/command"]), owner="bob")
                ended = {JobState.COMPLETED: 1, JobState.FAILED: 1}
                assert (await engine.stats()).jobs == {JobState.RUNNING: 3, **ended}
                alices = await engine.stats(visible_to="alice")
                assert (alices.jobs, alices.owner) == ({JobState.RUNNING: 2, JobState.COMPLETED: 1}, "alice")
                async with await engine.follow(sleepers[0].id), await engine.follow(sleepers[2].id):
                    counts = [(await engine.stats(visible_to=who)).followers for who in (None, "alice", "bob", "eve")]
                    assert counts == [2, 1, 1, 0]
                assert await engine.stats(visible_to="eve") == Stats({}, Load(), 0, owner="eve")
                if not isinstance(engine._resources.hierarchy, NoHierarchy):
                    everybodys, hers = await load_of(engine, 3), await load_of(engine, 2, "alice")
                    assert (everybodys.pids, hers.pids) == (3, 2)
                    assert everybodys.memory is not None
                    assert hers.memory is not None
                    assert 0 < hers.memory < everybodys.memory
                    assert 0 <= (hers.cpu or 0) < 30
                # Who asks at the same time is told the same.
                assert len({id(stats) for stats in await asyncio.gather(*(engine.stats() for _ in range(9)))}) == 1
            finally:
                for job in sleepers:
                    await engine.stop(job.id, grace=0)

    run(test())


def test_without_cgroups_no_usage_is_made_up(tmp_path: Path) -> None:
    """Where nothing is known of what jobs use, nothing is told."""

    async def test() -> None:
        async with Engine(open_config(tmp_path, limits=Profile(enabled=False))) as engine:
            job = await engine.start(JobSpec(["sleep", "1000"]))
            stats = await engine.stats()
            assert (stats.jobs, stats.load) == ({JobState.RUNNING: 1}, Load(0, None, None, None))
            await engine.stop(job.id, grace=0)

    run(test())


def test_both_clients(shared_server: Server) -> None:
    """Both clients tell the same, the server's version and start with it."""
    client = shared_server.client()
    job = client.start(JobSpec(["sleep", "1000"]))
    try:

        async def asked() -> Stats:
            async with AsyncClient(config(shared_server)) as other:
                return await other.stats()

        for stats in (client.stats(), run(asked())):
            assert stats.jobs[JobState.RUNNING] >= 1
            assert stats.version == version("jsched")
            assert stats.owner is None
            assert stats.started_at is not None
            assert stats.started_at < job.created_at < datetime.now(UTC)
    finally:
        client.stop(job.id, grace=0)


def test_at_a_shell(shared_server: Server) -> None:
    """`stats` prints a line each, or JSON in which every field is there."""
    job_id = shared_server.cli("start", "-q", "sleep", "1000").stdout.decode().strip()
    try:
        done = shared_server.cli("stats")
        assert (done.returncode, done.stderr) == (0, b"")
        text = done.stdout.decode()
        assert re.search(r"^jobs: +.*\b[1-9][0-9]* running", text, re.MULTILINE), text
        assert re.search(r"^followers: +[0-9]+$", text, re.MULTILINE), text
        assert re.search(rf"^server: +version {re.escape(version('jsched'))}, up [0-9]", text, re.MULTILINE), text
        stats = json.loads(shared_server.cli("stats", "-o", "json").stdout)
        assert set(stats) == {"jobs", "load", "followers", "owner", "server_version", "server_started_at"}
        assert set(stats["jobs"]) == {state.value for state in JobState}
        assert set(stats["load"]) == {"jobs", "cpu", "memory", "pids"}
        assert stats["jobs"]["running"] >= 1
    finally:
        shared_server.cli("stop", "--grace", "0s", job_id)
