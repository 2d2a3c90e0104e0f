from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from jsched.errors import (
    AlreadyExists,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from jsched.job import Exited, FailedStep, JobFilter, Lost, Outcome, Signaled, Usage
from jsched.limits import DiskLimit, Limits, Unenforced
from jsched.state import JobState
from jsched.store import Store, connection
from jsched.store.rows import limits_columns, outcome_columns, usage_columns
from jsched.store.schema import MIGRATIONS
from tests.unit.store.rig import BOOT, a_job, run


def test_a_job_comes_back_as_it_was(tmp_path: Path) -> None:
    """What was inserted is what is read, after the database was closed and opened too."""
    job = a_job(
        ("sh", "-c", "echo 'ä\n'"),
        name="nightly",
        env={"B": "2", "A": "1"},
        labels={"team": "x"},
        workdir="/tmp",
        timeout=1.5,
        grace=0.25,
        limits=Limits(memory=2**30, disk=(DiskLimit("all", read_bps=5),)),
    )

    async def insert(store: Store) -> None:
        assert await store.insert(job, "r1", BOOT) == (job, True)

    async def read(store: Store) -> None:
        assert await store.resolve(job.id) == job

    run(tmp_path, insert)
    run(tmp_path, read)


def test_ids_prefixes_and_names(tmp_path: Path) -> None:
    """A whole id, a unique prefix of 8 digits and more, and the newest job of a name are found; nothing else is."""
    first = a_job(job_id="aaaaaaaa-0000-4000-8000-000000000001", name="build")
    second = a_job(job_id="aaaaaaaa-0000-4000-8000-000000000002")
    third = a_job(job_id="bbbbbbbb-0000-4000-8000-000000000003", name="build")

    async def body(store: Store) -> None:
        await store.insert(first, None, BOOT)
        await store.advance(first.id, JobState.PENDING, JobState.UNKNOWN, {})
        await store.insert(second, None, BOOT)
        await store.insert(third, None, BOOT)
        assert (await store.resolve("build")).id == third.id
        assert (await store.resolve("bbbbbbbb")).id == third.id
        assert (await store.resolve("BBBBBBBB-0000")).id == third.id
        assert (await store.resolve(second.id)).id == second.id
        with pytest.raises(InvalidArgument, match="several"):
            await store.resolve("aaaaaaaa")
        for ref in ("aaaaaaa", "cccccccc", "", "buil", "%", "aaaaaaaa%", "' OR 1", second.id + "0", "\0"):
            with pytest.raises(NotFound):
                await store.resolve(ref)

    run(tmp_path, body)


def test_a_live_name_is_taken_and_an_ended_one_is_free(tmp_path: Path) -> None:
    """No two jobs of one name run at the same time."""

    async def body(store: Store) -> None:
        first, second = a_job(name="n"), a_job(name="n")
        await store.insert(first, None, BOOT)
        with pytest.raises(AlreadyExists, match=first.id):
            await store.insert(second, None, BOOT)
        await store.advance(first.id, JobState.PENDING, JobState.FAILED, {})
        await store.insert(second, None, BOOT)

    run(tmp_path, body)


def test_a_request_id_makes_one_job_an_owner(tmp_path: Path) -> None:
    """The same owner's same request id finds the job; another spec is refused; another owner is another matter."""

    async def body(store: Store) -> None:
        first = a_job(env={"A": "1"})
        again = a_job(env={"A": "1"})
        await store.insert(first, "r", BOOT)
        found, new = await store.insert(again, "r", BOOT)
        assert (found.id, new) == (first.id, False)
        with pytest.raises(AlreadyExists, match=first.id):
            await store.insert(a_job(env={"A": "2"}), "r", BOOT)
        _, new = await store.insert(a_job(owner="bob"), "r", BOOT)
        assert new

    run(tmp_path, body)


def test_many_inserts_of_one_request_id_at_once(tmp_path: Path) -> None:
    """Of fifty simultaneous inserts with one request id, one makes the job and all get it."""

    async def body(store: Store) -> None:
        answers = await asyncio.gather(*(store.insert(a_job(), "r", BOOT) for _ in range(50)))
        assert sum(new for _, new in answers) == 1
        assert len({job.id for job, _ in answers}) == 1

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (JobState.COMPLETED, Exited(0)),
        (JobState.COMPLETED, Exited(255)),
        (JobState.TERMINATED, Signaled(9)),
        (JobState.FAILED, FailedStep("exec", 2)),
        (JobState.UNKNOWN, Lost()),
    ],
)
def test_outcomes_come_back(tmp_path: Path, state: JobState, outcome: Outcome) -> None:
    """Each kind of outcome is read as it was written."""

    async def body(store: Store) -> None:
        job = a_job()
        await store.insert(job, None, BOOT)
        after = await store.advance(job.id, JobState.PENDING, state, outcome_columns(outcome))
        assert after == await store.resolve(job.id)
        assert (after.state, after.outcome) == (state, outcome)

    run(tmp_path, body)


def test_a_job_moves_only_from_the_state_it_is_in(tmp_path: Path) -> None:
    """An end is written once: the second writer is told so and changes nothing."""

    async def body(store: Store) -> None:
        job = a_job()
        await store.insert(job, None, BOOT)
        await store.advance(job.id, JobState.PENDING, JobState.COMPLETED, {"exit_code": 3})
        with pytest.raises(Internal):
            await store.advance(job.id, JobState.PENDING, JobState.UNKNOWN, {})
        assert (await store.resolve(job.id)).outcome == Exited(3)

    run(tmp_path, body)


def test_a_failed_write_takes_no_other_with_it(tmp_path: Path) -> None:
    """Writes that share a transaction fail one by one."""

    async def body(store: Store) -> None:
        good = [a_job() for _ in range(20)]
        bad = [a_job(name="same") for _ in range(20)]
        answers = await asyncio.gather(
            *(store.insert(job, None, BOOT) for pair in zip(good, bad, strict=True) for job in pair),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, AlreadyExists) for answer in answers) == 19
        for job in good:
            assert (await store.resolve(job.id)).id == job.id

    run(tmp_path, body)


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A schema this version does not know is not touched."""
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(FailedPrecondition, match="99"):
        run(tmp_path, _nothing)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Garbage is named, not overwritten."""
    garbage = b"this is not a database" * 100
    (tmp_path / "state.db").write_bytes(garbage)
    with pytest.raises(FailedPrecondition, match=r"state\.db"):
        run(tmp_path, _nothing)
    assert (tmp_path / "state.db").read_bytes() == garbage


def test_an_abandoned_write_is_still_done(tmp_path: Path) -> None:
    """A caller that is cancelled while its write waits does not take it back."""

    async def body(store: Store) -> None:
        job = a_job()
        task = asyncio.create_task(store.insert(job, None, BOOT))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.insert(a_job(), None, BOOT)
        assert (await store.resolve(job.id)).id == job.id

    run(tmp_path, body)


async def _nothing(_: Store) -> None:
    pass


def test_a_lock_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program has the database locked nothing is written, and afterwards all goes on."""
    monkeypatch.setattr(connection, "_LOCKED_SECONDS", 0.05)

    async def body(store: Store) -> None:
        with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(ResourceExhausted, match="locked"):
                await store.insert(a_job(), None, BOOT)
            other.execute("ROLLBACK")
        job = a_job()
        assert await store.insert(job, None, BOOT) == (job, True)
        assert (await store.page(JobFilter(), 10, "")).jobs == (job,)

    run(tmp_path, body)


def test_limits_and_usage_are_kept(tmp_path: Path) -> None:
    """What a job was limited to, what it could not be limited to, and what it used come back as they were."""
    usage = Usage(0.5, 0.25, 4096, 1.5, 2**30, 0, oom_kills=1)
    applied, lacking = Limits(memory=2**30), (Unenforced("cpus", "cpu", "not mounted"),)

    async def body(store: Store) -> None:
        job = a_job()
        await store.insert(job, None, BOOT)
        changes = limits_columns(applied, lacking)
        running = await store.advance(job.id, JobState.PENDING, JobState.RUNNING, changes)
        assert (running.applied, running.unenforced, running.usage) == (applied, lacking, None)
        await store.advance(job.id, JobState.RUNNING, JobState.COMPLETED, {"exit_code": 0, **usage_columns(usage)})
        ended = await store.resolve(job.id)
        assert (ended.applied, ended.unenforced, ended.usage) == (applied, lacking, usage)

    run(tmp_path, body)


def test_other_limits_are_another_request(tmp_path: Path) -> None:
    """The request id of a job does not find it for somebody who asks for other limits."""

    async def body(store: Store) -> None:
        await store.insert(a_job(limits=Limits(pids=5)), "once", BOOT)
        assert (await store.insert(a_job(limits=Limits(pids=5)), "once", BOOT))[1] is False
        with pytest.raises(AlreadyExists):
            await store.insert(a_job(limits=Limits(pids=6)), "once", BOOT)

    run(tmp_path, body)


def test_jobs_of_the_first_schema(tmp_path: Path) -> None:
    """A job that a server before limits has written is there with its usage, and with no limits."""
    old = a_job()
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.executescript(MIGRATIONS[0] + "; PRAGMA user_version = 1;")
        db.execute(
            "INSERT INTO jobs (id, owner, argv, env, labels, grace, state, created_at, log_path, exit_code,"
            " cpu_user, cpu_system, max_rss) VALUES (?, 'alice', '[\"true\"]', '{}', '{}', 10, 'completed', 0,"
            " '/l', 0, 0.5, 0.25, 4096)",
            (old.id,),
        )

    async def body(store: Store) -> None:
        job = await store.resolve(old.id)
        assert (job.spec.limits, job.applied, job.unenforced) == (Limits(), None, ())
        assert job.usage == Usage(0.5, 0.25, 4096)

    run(tmp_path, body)
