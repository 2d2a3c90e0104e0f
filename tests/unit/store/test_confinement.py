"""What a job asked of its walls, what it has, and the slot of its id range, in the database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network, Walls
from jsched.errors import AlreadyExists
from jsched.limits import Limits
from jsched.rootfs import Rootfs
from jsched.state import JobState
from jsched.store import Store
from jsched.store.rows import walls_columns
from jsched.store.schema import MIGRATIONS
from tests.unit.store.rig import BOOT, a_job, run

ASKED = Confinement(
    network=Network.HOST,
    rootfs="alpine",
    binds=(Bind("/srv/ä", "/mnt", writable=True), Bind("/a", "/b")),
    user="root",
    group="5",
)
WALLS = Walls(Mode.ROOTFS, Network.HOST, "0f" * 32, ("clone", "pivot"))


@pytest.mark.parametrize("asked", [NOTHING_ASKED, ASKED, Confinement(mode=Mode.NONE)])
def test_what_was_asked_comes_back(tmp_path: Path, asked: Confinement) -> None:
    """What was asked is what is read, after the database was closed and opened too."""
    job = a_job(confinement=asked)

    async def insert(store: Store) -> None:
        assert await store.insert(job, None, BOOT) == (job, True)

    async def read(store: Store) -> None:
        assert await store.resolve(job.id) == job

    run(tmp_path, insert)
    run(tmp_path, read)


@pytest.mark.parametrize("walls", [WALLS, Walls(Mode.HOST, Network.NONE), Walls(Mode.NONE, Network.HOST)])
def test_walls_and_slot_come_back(tmp_path: Path, walls: Walls) -> None:
    """A job has no walls and no slot before it runs, then those that it was started with, and keeps the walls."""
    job = a_job(confinement=ASKED)

    async def start(store: Store) -> None:
        await store.insert(job, None, BOOT)
        assert (await store.resolve(job.id)).walls is None
        (record,) = await store.live()
        assert record.slot is None
        changes = {**walls_columns(walls), "slot": 3770}
        running = await store.advance(job.id, JobState.PENDING, JobState.RUNNING, changes)
        assert running.walls == walls

    async def end(store: Store) -> None:
        (record,) = await store.live()
        assert (record.slot, record.job.walls) == (3770, walls)
        await store.advance(job.id, JobState.RUNNING, JobState.COMPLETED, {"exit_code": 0})
        assert (await store.resolve(job.id)).walls == walls

    run(tmp_path, start)
    run(tmp_path, end)


def test_no_walls_are_not_made_up() -> None:
    """A job whose walls are not known has none in the database."""
    assert walls_columns(None) == {"walls": None}


def test_other_walls_are_another_request(tmp_path: Path) -> None:
    """The request id of a job does not find it for somebody who asks for other walls."""

    async def body(store: Store) -> None:
        await store.insert(a_job(confinement=ASKED), "once", BOOT)
        assert (await store.insert(a_job(confinement=ASKED), "once", BOOT))[1] is False
        for other in (NOTHING_ASKED, Confinement(mode=Mode.NONE)):
            with pytest.raises(AlreadyExists):
                await store.insert(a_job(confinement=other), "once", BOOT)

    run(tmp_path, body)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_jobs_of_every_earlier_schema(tmp_path: Path, version: int) -> None:
    """A job that an earlier server has left running is there with no walls and no slot, and new ones have theirs."""
    old, new = a_job(), a_job(confinement=ASKED)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
        db.executescript(";".join(MIGRATIONS[:version]) + f"; PRAGMA user_version = {version};")
        db.execute(
            "INSERT INTO jobs (id, owner, request_id, argv, env, labels, grace, state, created_at, log_path)"
            " VALUES (?, 'alice', 'once', '[\"true\"]', '{}', '{}', 10, 'running', 0, '/l')",
            (old.id,),
        )

    async def body(store: Store) -> None:
        job = await store.resolve(old.id)
        assert (job.spec.confinement, job.walls, job.spec.limits) == (NOTHING_ASKED, None, Limits())
        (record,) = await store.live()
        assert (record.job, record.slot) == (job, None)
        # The same request, sent again to the server that is there now.
        assert await store.insert(a_job(), "once", BOOT) == (job, False)
        await store.insert(new, None, BOOT)
        running = await store.advance(new.id, JobState.PENDING, JobState.RUNNING, walls_columns(WALLS))
        assert (running.spec.confinement, running.walls) == (ASKED, WALLS)
        tree = Rootfs("alpine", "0f" * 32, 1, 2, "alice", new.created_at)
        assert await store.rootfs.insert(tree) == tree

    run(tmp_path, body)
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
