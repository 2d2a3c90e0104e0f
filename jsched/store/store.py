"""What is known of every job, kept in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jsched.errors import AlreadyExists, Internal, JschedError
from jsched.job import Job, JobFilter, JobPage, JobSpec
from jsched.state import LIVE_STATES, JobState
from jsched.store import lookup
from jsched.store.connection import Connections, Sync
from jsched.store.page_token import PageTokens
from jsched.store.rootfs import RootfsTable
from jsched.store.rows import (
    JobRecord,
    limits_columns,
    same_request,
    spec_columns,
    to_microseconds,
    to_record,
    walls_columns,
)
from jsched.store.write_behind import Move, WriteBehind

T = TypeVar("T")
# A page fits into the 4 MiB that a gRPC client accepts if it is not told otherwise; a row has
# about so much besides what callers may make long.
_PAGE_BYTES = 3 * 1024 * 1024
_ROW_BYTES = 1024
_LONG_COLUMNS = ("argv", "env", "labels", "workdir", "limits", "applied", "confinement", "walls")


class Store:
    """The table of jobs. Every write that returned is on the disk, but for `insert` and what is put off.

    `rootfs` is the table of uploaded root file systems, in the same file.
    """

    def __init__(self, path: Path, broken: Callable[[JschedError], None]) -> None:
        self._connections = Connections(path, broken)
        self._behind = WriteBehind(self._connections)
        self.rootfs = RootfsTable(self._connections)

    async def open(self) -> None:
        """Open or make the database; raises FailedPrecondition if it can't be used."""
        await self._connections.open()
        secret: bytes = await self._connections.read(
            lambda db: db.execute("SELECT value FROM meta WHERE key = 'page_token_key'").fetchone()[0]
        )
        self._tokens = PageTokens(secret)

    async def close(self) -> None:
        """Finish waiting writes and close the database."""
        await self._behind.close()
        await self._connections.close()

    async def insert(self, job: Job, request_id: str | None, boot_id: str) -> tuple[Job, bool]:
        """Add a new job, or find the one that the same owner's same request id has made.

        Returns the job and whether it is new. Raises AlreadyExists if the request id came
        with another spec, or if a live job of the owner has the name. `boot_id` is that of the host now: a new
        job is on the disk by the time that its start is told, and a power cut before that is written
        ends the job as one after it does.
        """
        columns = {
            "id": job.id,
            "owner": job.owner,
            "request_id": request_id,
            **spec_columns(job.spec),
            "state": job.state.value,
            "created_at": to_microseconds(job.created_at),
            "log_path": job.log_path,
            "boot_id": boot_id,
            **limits_columns(job.applied, job.unenforced),
            **walls_columns(job.walls),
        }
        return await self._connections.write(
            lambda db: _insert(db, job, request_id, columns), sync=Sync.SOON, grows=True
        )

    async def put_off(self, job_id: str, before: JobState, after: JobState, changes: Mapping[str, Any]) -> None:
        """Move a job from one live state to the next, as whoever asks from now on will find it, and write that later.

        Returns once the job itself is on the disk: nobody is told of one that a power cut may
        undo. Raises Internal if the database has failed.
        """
        await self._connections.synced()
        self._behind.put_off(job_id, Move(before, {"state": after.value, **changes}))

    async def advance(self, job_id: str, before: JobState, after: JobState, changes: Mapping[str, Any]) -> Job:
        """Move a job from one state to the next, with the columns that change; return it afterwards.

        A move to the state `before` that was put off is written with it. Raises Internal if the
        job is not in the state `before`.
        """
        states, columns = [before], {"state": after.value, **changes}
        if (behind := self._behind.of(job_id)) is not None:
            states, columns = [before, behind.before], {**behind.columns, **columns}
        job = await self._connections.write(lambda db: _advance(db, job_id, states, columns))
        self._behind.settle(job_id)
        return job

    async def set_stopped_by(self, job_id: str, who: str) -> None:
        """Note who asked for the stop of a job that has not ended; the first one stands."""
        await self._connections.write(lambda db: _set_stopped_by(db, job_id, who))

    async def delete(self, job_id: str) -> None:
        """Remove a job."""
        await self._connections.write(lambda db: _delete(db, job_id))

    async def resolve(self, ref: str, *, visible_to: str | None = None) -> Job:
        """Return the job with this id, unique prefix of an id (8 digits and up) or name.

        A name is that of the live job that has it, or of the newest that has ended. With
        `visible_to`, only that user's jobs exist. Raises NotFound, or InvalidArgument for a prefix
        that several jobs share, or a name that several users' live jobs have.
        """
        return await self._read(lambda db: lookup.resolve(db, ref, visible_to))

    async def requested(self, spec: JobSpec, owner: str, request_id: str) -> Job | None:
        """Return the job that a request id of an owner has made, None if there is none.

        Raises AlreadyExists if it came with another spec.
        """
        return await self._read(lambda db: _requested(db, spec, owner, request_id))

    async def count(self, visible_to: str | None = None) -> dict[JobState, int]:
        """Return how many jobs there are in each state that any is in, of all of them or of one user's."""
        return await self._read(lambda db: lookup.count(db, visible_to))

    async def live(self) -> list[JobRecord]:
        """Return all jobs that have not ended, oldest first."""
        return await self._read(
            lambda db: [
                to_record(row)
                for row in db.execute("SELECT * FROM jobs WHERE state IN ('pending', 'running') ORDER BY seq")
            ]
        )

    async def page(self, wanted: JobFilter, size: int, token: str) -> JobPage:
        """Return up to `size` jobs (1 and up), newest first, beginning after the page that gave `token`.

        Fewer if they are large. Raises InvalidArgument for a token that this database did not give for this filter.
        """
        scope = _scope(wanted)
        before = self._tokens.position(token, scope) if token else None
        records, more = await self._read(lambda db: _page(db, wanted, size, before))
        following = self._tokens.token(records[-1].seq, scope) if more else ""
        return JobPage(tuple(record.job for record in records), following)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await self._behind.write()
        return await self._connections.read(work)


def _insert(db: sqlite3.Connection, job: Job, request_id: str | None, columns: Mapping[str, Any]) -> tuple[Job, bool]:
    if request_id is not None:
        known = _requested(db, job.spec, job.owner, request_id)
        if known is not None:
            return known, False
    names = ", ".join(columns)
    marks = ", ".join(f":{name}" for name in columns)
    try:
        db.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", dict(columns))  # noqa: S608
    except sqlite3.IntegrityError:
        taken = db.execute(
            "SELECT id FROM jobs WHERE name = ? AND owner = ? AND state IN ('pending', 'running')",
            (job.spec.name, job.owner),
        ).fetchone()
        if taken is None:
            raise
        raise AlreadyExists(
            f"job {taken['id']} runs under the name {job.spec.name!r}",
            obj=taken["id"],
            hint="choose another name or wait for its end",
        ) from None
    return job, True


def _requested(db: sqlite3.Connection, spec: JobSpec, owner: str, request_id: str) -> Job | None:
    row = db.execute("SELECT * FROM jobs WHERE owner = ? AND request_id = ?", (owner, request_id)).fetchone()
    if row is None:
        return None
    if not same_request(row, spec):
        raise AlreadyExists(
            f"request id {request_id!r} has started job {row['id']}, which was asked for differently",
            obj=row["id"],
            hint="use a new request id for another job",
        )
    return to_record(row).job


def _advance(db: sqlite3.Connection, job_id: str, before: Sequence[JobState], columns: Mapping[str, Any]) -> Job:
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    states = ", ".join(f"'{state.value}'" for state in before)
    rows = db.execute(
        f"UPDATE jobs SET {changes} WHERE id = :job_id AND state IN ({states}) RETURNING *",  # noqa: S608
        {**columns, "job_id": job_id},
    ).fetchall()
    if not rows:
        raise Internal(f"job {job_id} is not {before[0].value}", obj=job_id)
    return to_record(rows[0]).job


def _set_stopped_by(db: sqlite3.Connection, job_id: str, who: str) -> None:
    db.execute(
        "UPDATE jobs SET stopped_by = ? WHERE id = ? AND stopped_by IS NULL AND state IN ('pending', 'running')",
        (who, job_id),
    )


def _delete(db: sqlite3.Connection, job_id: str) -> None:
    db.execute("DELETE FROM jobs WHERE id = ?", (job_id,))


def _page(db: sqlite3.Connection, wanted: JobFilter, size: int, before: int | None) -> tuple[list[JobRecord], bool]:
    """Return the jobs of a page, and whether others follow."""
    conditions: list[str] = ["1"]
    values: list[Any] = []
    if before is not None:
        conditions.append("seq < ?")
        values.append(before)
    if wanted.states:
        # The partial index on live jobs is used only if the text of its condition is here.
        if wanted.states <= LIVE_STATES:
            conditions.append("state IN ('pending', 'running')")
        conditions.append(f"state IN ({', '.join('?' * len(wanted.states))})")
        values.extend(state.value for state in wanted.states)
    for column, value in (("owner", wanted.owner), ("name", wanted.name)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    for key, value in wanted.labels.items():
        conditions.append("EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)")
        values.extend((key, value))
    query = f"SELECT * FROM jobs WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
    records: list[JobRecord] = []
    held = 0
    for row in db.execute(query, (*values, size + 1)):
        # As JSON these are no smaller than they will be in an answer.
        held += _ROW_BYTES + sum(len(row[column] or "") for column in _LONG_COLUMNS)
        if len(records) == size or (records and held > _PAGE_BYTES):
            return records, True
        records.append(to_record(row))
    return records, False


def _scope(wanted: JobFilter) -> bytes:
    """Return the filter as bytes, so that a token serves only the list it came from."""
    states = sorted(state.value for state in wanted.states)
    return json.dumps([states, wanted.owner, wanted.name, sorted(wanted.labels.items())]).encode()
