"""Finding one job by what callers call it: its id, the beginning of that, or its name; and counting them."""

from __future__ import annotations

import re
import sqlite3

from jsched.errors import InvalidArgument, NotFound
from jsched.job import Job
from jsched.state import JobState
from jsched.store.rows import to_record

_ID_PREFIX = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}")
_LIVE = "state IN ('pending', 'running')"
_SHOWN_IDS = 5


def resolve(db: sqlite3.Connection, ref: str, visible_to: str | None) -> Job:
    """Return the job that `ref` stands for; with `visible_to`, only that user's jobs exist.

    Raises NotFound, or InvalidArgument for what stands for several.
    """
    lower = ref.lower()
    row = _by_id(db, ref, lower, visible_to) if _ID_PREFIX.fullmatch(lower) else _by_name(db, ref, visible_to)
    if row is None:
        raise NotFound(
            f"no job {ref!r}", obj=ref, hint="give a job's id, at least 8 digits of it, or its name; list shows them"
        )
    return to_record(row).job


def count(db: sqlite3.Connection, visible_to: str | None) -> dict[JobState, int]:
    """Return how many jobs there are by state."""
    condition, values = ("1", ()) if visible_to is None else ("owner = ?", (visible_to,))
    query = f"SELECT state, COUNT(*) FROM jobs WHERE {condition} GROUP BY state"  # noqa: S608
    return {JobState(state): jobs for state, jobs in db.execute(query, values)}


def _by_id(db: sqlite3.Connection, ref: str, prefix: str, visible_to: str | None) -> sqlite3.Row | None:
    rows = _select(db, "id >= ? AND id < ?", (prefix, prefix + "g"), visible_to, "LIMIT 2")
    if len(rows) > 1:
        raise InvalidArgument(
            f"{ref!r} is the beginning of several jobs' ids", obj=ref, hint="give more digits of the id"
        )
    return rows[0] if rows else None


def _by_name(db: sqlite3.Connection, name: str, visible_to: str | None) -> sqlite3.Row | None:
    """Return the live job of that name, or the newest that has ended."""
    live = _select(db, f"name = ? AND {_LIVE}", (name,), visible_to, f"ORDER BY seq DESC LIMIT {_SHOWN_IDS + 1}")
    if len(live) > 1:
        # Each has another owner: to guess which one is meant could stop the wrong one.
        ids = ", ".join(f"{row['id']} of {row['owner']}" for row in live[:_SHOWN_IDS])
        more = " and more" if len(live) > _SHOWN_IDS else ""
        raise InvalidArgument(
            f"{name!r} is the name of several users' jobs: {ids}{more}", obj=name, hint="give the id of one of them"
        )
    rows = live or _select(db, "name = ?", (name,), visible_to, "ORDER BY seq DESC LIMIT 1")
    return rows[0] if rows else None


def _select(
    db: sqlite3.Connection, condition: str, values: tuple[str, ...], visible_to: str | None, rest: str
) -> list[sqlite3.Row]:
    if visible_to is not None:
        condition, values = f"{condition} AND owner = ?", (*values, visible_to)
    return db.execute(f"SELECT * FROM jobs WHERE {condition} {rest}", values).fetchall()  # noqa: S608
