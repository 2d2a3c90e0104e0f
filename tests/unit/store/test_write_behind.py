from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jsched.errors import Internal, ResourceExhausted
from jsched.job import Exited, Job, JobFilter
from jsched.state import JobState
from jsched.store import Store, connection, write_behind
from tests.helpers.wait import wait_until
from tests.unit.store.rig import BOOT, a_job, run

_DEADLINE = 20.0
RUNS = {"pid": 4711, "started_at": 5}
ENDS = {"exit_code": 3, "ended_at": 7}


async def a_start(store: Store, **spec: Any) -> Job:
    """Return a job whose move to RUNNING was put off."""
    job = a_job(**spec)
    await store.insert(job, None, BOOT)
    await store.put_off(job.id, JobState.PENDING, JobState.RUNNING, RUNS)
    return job


def written(path: Path, job_id: str) -> str:
    """Return the state that stands in the database, as another program sees it."""
    with closing(sqlite3.connect(path / "state.db")) as db:
        (state,) = db.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return str(state)


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition, _DEADLINE)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from writing to the database."""
    with closing(sqlite3.connect(path / "state.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


def test_it_is_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A move that was put off is what every read finds, long before its time to be written has come."""
    monkeypatch.setattr(write_behind, "DELAY", 3600)

    async def body(store: Store) -> None:
        assert (await store.resolve((await a_start(store)).id)).pid == 4711
        job = await a_start(store, name="nightly")
        assert [one.id for one in (await store.page(JobFilter(name="nightly"), 10, "")).jobs] == [job.id]
        await a_start(store)
        assert await store.count() == {JobState.RUNNING: 3}
        await a_start(store)
        assert [one.job.state for one in await store.live()] == [JobState.RUNNING] * 4

    run(tmp_path, body)


def test_it_is_written_with_nobody_asking(tmp_path: Path) -> None:
    """It is in the database after a while, for a server that comes when this one was killed."""

    async def body(store: Store) -> None:
        job = await a_start(store)
        await until(lambda: written(tmp_path, job.id) == "running")

    run(tmp_path, body)


def test_it_is_written_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is closed has written all that was put off."""
    monkeypatch.setattr(write_behind, "DELAY", 3600)
    jobs: list[Job] = []

    async def body(store: Store) -> None:
        jobs.append(await a_start(store))
        assert written(tmp_path, jobs[0].id) == "pending"

    run(tmp_path, body)
    assert written(tmp_path, jobs[0].id) == "running"


@pytest.mark.parametrize("read_first", [True, False], ids=["read first", "read after"])
def test_the_next_move_takes_it_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_first: bool) -> None:
    """A job that ends before its start was written has both afterwards, whoever reads meanwhile."""
    monkeypatch.setattr(write_behind, "DELAY", 3600)

    async def body(store: Store) -> None:
        for _ in range(30):
            job = await a_start(store)
            reading = [asyncio.create_task(store.resolve(job.id))] if read_first else []
            await asyncio.sleep(0)
            ending = asyncio.create_task(store.advance(job.id, JobState.RUNNING, JobState.COMPLETED, ENDS))
            await asyncio.sleep(0)
            reading.append(asyncio.create_task(store.resolve(job.id)))
            ended = await ending
            assert (ended.state, ended.outcome, ended.pid) == (JobState.COMPLETED, Exited(3), 4711)
            assert {one.state for one in await asyncio.gather(*reading)} <= {JobState.RUNNING, JobState.COMPLETED}
            assert await store.resolve(job.id) == ended

    run(tmp_path, body)


def test_it_waits_for_the_job_to_be_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that a job runs whose row a power cut may undo."""
    synced, let = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(fd: int) -> None:
        let.wait(_DEADLINE)
        fsync(fd)
        synced.set()

    async def body(store: Store) -> None:
        monkeypatch.setattr(os, "fsync", slow)
        job = a_job()
        await store.insert(job, None, BOOT)
        telling = asyncio.ensure_future(store.put_off(job.id, JobState.PENDING, JobState.RUNNING, RUNS))
        # A read takes its turn of a thread: whatever does not wait for the disk is over by then.
        assert (await store.resolve(job.id)).state is JobState.PENDING
        assert not telling.done()
        let.set()
        await telling
        assert synced.is_set()

    run(tmp_path, body)


def test_a_job_that_does_not_get_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the sync of its row fails, a start is refused, and so is every one after it."""

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    async def main() -> None:
        failures: list[object] = []
        store = Store(tmp_path / "state.db", failures.append)
        await store.open()
        try:
            monkeypatch.setattr(os, "fsync", broken)
            for _ in range(2):
                job = a_job()
                with pytest.raises(Internal, match="Input/output error"):
                    await store.insert(job, None, BOOT)
                    await store.put_off(job.id, JobState.PENDING, JobState.RUNNING, RUNS)
        finally:
            await store.close()
        assert failures

    asyncio.run(main())


def test_what_cannot_be_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While it can't be written reads go on, and afterwards neither the start nor the end is missing."""
    monkeypatch.setattr(connection, "_LOCKED_SECONDS", 0.02)
    monkeypatch.setattr(write_behind, "AGAIN", 0.02)

    async def body(store: Store) -> None:
        runs, ends = await a_start(store), await a_start(store)
        with locked(tmp_path):
            assert (await store.resolve(runs.id)).id == runs.id
            with pytest.raises(ResourceExhausted, match="locked"):
                await store.advance(ends.id, JobState.RUNNING, JobState.COMPLETED, ENDS)
            await until(lambda: len([one for one in caplog.messages if "can't be written yet" in one]) > 3)
        ended = await store.advance(ends.id, JobState.RUNNING, JobState.COMPLETED, ENDS)
        assert (ended.state, ended.pid) == (JobState.COMPLETED, 4711)
        await until(lambda: written(tmp_path, runs.id) == "running")

    run(tmp_path, body)
