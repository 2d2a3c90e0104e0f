"""Moves of jobs that are told before they are written: many a job has ended by then, and one write does for both.

Each is written with the job's next move, before anything is read, or within DELAY seconds. So whoever
asks finds it; only a server that comes after one that was killed may not, and has to find out by itself.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from jsched.errors import JschedError
from jsched.state import JobState
from jsched.store.connection import Connections, Sync

DELAY = 0.1
AGAIN = 1.0
_LOG = logging.getLogger(__name__)


class Move(NamedTuple):
    """A job's move away from the state `before`, and the columns that change."""

    before: JobState
    columns: Mapping[str, Any]


class WriteBehind:
    """The moves that are not written yet; used on one event loop."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._moves: dict[str, Move] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def put_off(self, job_id: str, move: Move) -> None:
        """Have a move written later."""
        self._moves[job_id] = move
        self._write_in(DELAY)

    def of(self, job_id: str) -> Move | None:
        """Return a job's move that may not be written yet, to be written together with its next one."""
        return self._moves.get(job_id)

    def settle(self, job_id: str) -> None:
        """Forget a job's move: it is written."""
        self._moves.pop(job_id, None)

    async def write(self) -> None:
        """Write all that was put off; what can't be written, for want of room as a rule, is tried again later."""
        if not self._moves:
            return
        moves = dict(self._moves)
        try:
            await self._connections.write(lambda db: _write(db, moves), sync=Sync.NEXT)
        except JschedError as error:
            _LOG.error("the starts of %d jobs can't be written yet: %s", len(moves), error)
            self._write_in(AGAIN)
            return
        for job_id in moves:
            self.settle(job_id)

    async def close(self) -> None:
        """Write all that was put off, and have nothing more to do."""
        if self._writing is not None:
            await self._writing
        await self.write()
        if self._timer is not None:
            self._timer.cancel()

    def _write_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self.write())


def _write(db: sqlite3.Connection, moves: Mapping[str, Move]) -> None:
    for job_id, move in moves.items():
        changes = ", ".join(f"{name} = :{name}" for name in move.columns)
        # One that has moved on meanwhile took this along.
        db.execute(
            f"UPDATE jobs SET {changes} WHERE id = :job_id AND state = :before",  # noqa: S608
            {**move.columns, "job_id": job_id, "before": move.before.value},
        )
