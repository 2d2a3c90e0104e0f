"""Jobs that exist for one user alone: by id, by the beginning of an id, by name, and in the schemas before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from jsched.errors import AlreadyExists, InvalidArgument, JschedError, NotFound
from jsched.job import Job, JobSpec
from jsched.state import JobState
from jsched.store import Store
from jsched.store.schema import MIGRATIONS
from tests.unit.store.rig import BOOT, a_job, run

ALICES = a_job(job_id="aaaaaaaa-0000-4000-8000-000000000001", owner="alice", name="web")
BOBS = a_job(job_id="aaaaaaaa-0000-4000-8000-000000000002", owner="bob", name="web")


async def told(store: Store, ref: str, visible_to: str | None) -> tuple[type[JschedError], str, str, str]:
    """Return all that a caller is told of a reference that can't be resolved."""
    with pytest.raises(JschedError) as raised:
        await store.resolve(ref, visible_to=visible_to)
    return type(raised.value), raised.value.message, raised.value.obj, raised.value.hint


async def ended(store: Store, job: Job) -> None:
    await store.advance(job.id, JobState.PENDING, JobState.FAILED, {})


def test_a_job_exists_for_its_owner(tmp_path: Path) -> None:
    """Its owner finds a job by id, prefix and name; anybody else is told what is told of one that never was."""

    async def body(store: Store) -> None:
        refs = (ALICES.id, ALICES.id[:8], ALICES.id[:13].upper(), "web")
        unknown = {ref: await told(store, ref, "alice") for ref in refs}
        await store.insert(ALICES, None, BOOT)
        for ref in refs:
            assert (await store.resolve(ref, visible_to="alice")).id == ALICES.id
            assert (await store.resolve(ref)).id == ALICES.id
            assert await told(store, ref, "bob") == unknown[ref]
            assert await told(store, ref, "") == unknown[ref]
            assert unknown[ref][0] is NotFound

    run(tmp_path, body)


def test_prefixes_are_unique_among_visible_jobs(tmp_path: Path) -> None:
    """A prefix that others' jobs have too is unique for who does not see those, and ambiguous for who does."""

    async def body(store: Store) -> None:
        await store.insert(ALICES, None, BOOT)
        await store.insert(BOBS, None, BOOT)
        assert (await store.resolve("aaaaaaaa", visible_to="alice")).id == ALICES.id
        assert (await store.resolve("aaaaaaaa", visible_to="bob")).id == BOBS.id
        kind, message, obj, _ = await told(store, "aaaaaaaa", None)
        assert (kind, obj) == (InvalidArgument, "aaaaaaaa")
        assert message == "'aaaaaaaa' is the beginning of several jobs' ids"

    run(tmp_path, body)


def test_a_name_is_one_owners(tmp_path: Path) -> None:
    """An owner has one live job of a name, whatever others call theirs, and is told of no other's."""

    async def body(store: Store) -> None:
        await store.insert(ALICES, None, BOOT)
        await store.insert(BOBS, None, BOOT)
        again = a_job(owner="alice", name="web")
        with pytest.raises(AlreadyExists, match=f"job {ALICES.id} runs under the name 'web'"):
            await store.insert(again, None, BOOT)
        await ended(store, BOBS)
        with pytest.raises(AlreadyExists, match=ALICES.id):
            await store.insert(again, None, BOOT)
        await ended(store, ALICES)
        await store.insert(again, None, BOOT)
        assert (await store.resolve("web", visible_to="alice")).id == again.id
        assert (await store.resolve("web", visible_to="bob")).id == BOBS.id

    run(tmp_path, body)


def test_a_name_of_several(tmp_path: Path) -> None:
    """Who sees all is not given a guess among live jobs; the live one comes before newer ones that have ended."""

    async def body(store: Store) -> None:
        await store.insert(ALICES, None, BOOT)
        await store.insert(BOBS, None, BOOT)
        kind, message, obj, hint = await told(store, "web", None)
        assert (kind, obj) == (InvalidArgument, "web")
        assert message == f"'web' is the name of several users' jobs: {BOBS.id} of bob, {ALICES.id} of alice"
        assert hint == "give the id of one of them"
        await ended(store, BOBS)
        assert (await store.resolve("web")).id == ALICES.id
        await ended(store, ALICES)
        assert (await store.resolve("web")).id == BOBS.id

    run(tmp_path, body)


def test_many_of_one_name(tmp_path: Path) -> None:
    """However many live jobs have a name, the refusal names a few."""

    async def body(store: Store) -> None:
        for number in range(7):
            await store.insert(a_job(owner=f"user-{number}", name="web"), None, BOOT)
        _, message, _, _ = await told(store, "web", None)
        assert message.count(" of user-") == 5
        assert message.endswith(" of user-2 and more")

    run(tmp_path, body)


def test_what_a_request_id_has_made(tmp_path: Path) -> None:
    """A request id finds its job for its owner alone, if the same was asked for."""

    async def body(store: Store) -> None:
        await store.insert(ALICES, "once", BOOT)
        assert await store.requested(ALICES.spec, "alice", "once") == ALICES
        assert await store.requested(ALICES.spec, "alice", "twice") is None
        assert await store.requested(ALICES.spec, "bob", "once") is None
        with pytest.raises(AlreadyExists, match=ALICES.id):
            await store.requested(JobSpec(["false"]), "alice", "once")
        (record,) = await store.live()
        assert record.request_id == "once"

    run(tmp_path, body)


def test_jobs_are_counted(tmp_path: Path) -> None:
    """Jobs are counted by state, of all of them and of one owner; a state that none is in is not there."""

    async def body(store: Store) -> None:
        assert await store.count() == {}
        for job in (ALICES, BOBS, a_job(owner="alice")):
            await store.insert(job, None, BOOT)
        await ended(store, ALICES)
        assert await store.count() == {JobState.PENDING: 2, JobState.FAILED: 1}
        assert await store.count("alice") == {JobState.PENDING: 1, JobState.FAILED: 1}
        assert await store.count("bob") == {JobState.PENDING: 1}
        assert await store.count("eve") == {}

    run(tmp_path, body)


def test_one_owners_jobs_are_found_without_the_others(tmp_path: Path) -> None:
    """Lists and names of one owner are looked up in indexes: how many jobs others have is not to be felt."""

    async def body(store: Store) -> None:
        await store.insert(ALICES, None, BOOT)

    run(tmp_path, body)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        for condition in ("owner = 'a'", "name = 'n' AND owner = 'a'"):
            query = f"EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE {condition} ORDER BY seq DESC LIMIT 1"
            (plan,) = [row[3] for row in db.execute(query)]
            assert plan.startswith("SEARCH jobs USING INDEX jobs_owner"), plan
        # Rows are long: what is counted is in an index alone.
        for condition in ("state = 's'", "state = 's' AND owner = 'a'"):
            (plan,) = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN SELECT COUNT(*) FROM jobs WHERE {condition}")]
            assert plan.startswith("SEARCH jobs USING COVERING INDEX jobs_state"), plan


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_names_of_every_earlier_schema(tmp_path: Path, version: int) -> None:
    """A named job that an earlier server has left running keeps its name, and others may have the same one now."""
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.executescript(";".join(MIGRATIONS[:version]) + f"; PRAGMA user_version = {version};")
        db.execute(
            "INSERT INTO jobs (id, owner, name, argv, env, labels, grace, state, created_at, log_path)"
            " VALUES (?, 'alice', 'web', '[\"true\"]', '{}', '{}', 10, 'running', 0, '/l')",
            (ALICES.id,),
        )

    async def body(store: Store) -> None:
        assert (await store.resolve("web", visible_to="alice")).id == ALICES.id
        with pytest.raises(AlreadyExists, match=ALICES.id):
            await store.insert(a_job(owner="alice", name="web"), None, BOOT)
        await store.insert(BOBS, None, BOOT)
        assert (await store.resolve("web", visible_to="bob")).id == BOBS.id

    run(tmp_path, body)
