"""Two SQLite connections on threads of their own: one writes, one reads; the event loop waits for neither.

WAL: a write that was awaited survives the end of this process at least; see Sync for a power
cut. Writes that are waiting at the same time share one transaction, and so one fsync.
Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from jsched.errors import FailedPrecondition, Internal, JschedError, ResourceExhausted
from jsched.store.schema import migrate
from jsched.store.wal_room import WalRoom

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_BATCH = 64
# How long another program may hold the lock on the file before a write fails.
_LOCKED_SECONDS = 10.0
# An extended result code has its primary one in its lowest byte, https://www.sqlite.org/rescode.html.
_PRIMARY = 0xFF


class Sync(enum.Enum):
    """When a write is brought to the disk."""

    FIRST = "before its result is returned"
    SOON = "right after that, and before the result of any later write is returned"
    NEXT = "with the next one that is"


@dataclass(frozen=True, slots=True)
class _Write:
    work: Callable[[sqlite3.Connection], Any]
    sync: Sync
    grows: bool
    result: asyncio.Future[Any]


_Settled = tuple[_Write, Any, Exception | None]


class Connections:
    """A writer and a reader of one database file.

    `broken` is called, on the event loop, when a commit failed for another reason than a full
    disk or a lock: what is on the disk is not known any more, and nothing more is written.
    """

    def __init__(self, path: Path, broken: Callable[[JschedError], None]) -> None:
        self._path = path
        self._broken = broken
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._failure: JschedError | None = None
        self._full = True
        self._syncing = False
        self._reader_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")

    async def open(self) -> None:
        """Open the file, make or migrate its schema; raises FailedPrecondition if it is no database of ours."""
        self._loop = asyncio.get_running_loop()
        self._writer = await asyncio.to_thread(self._prepare)
        # SQLite keeps no locks on this file, which closing a second descriptor would drop.
        self._wal = await asyncio.to_thread(os.open, f"{self._path}-wal", os.O_RDWR | os.O_CLOEXEC)
        self._room = WalRoom(self._wal)
        await asyncio.to_thread(self._room.have)
        self._reader = await self._loop.run_in_executor(self._reader_thread, self._connect)
        self._writer_thread = threading.Thread(target=self._serve_writes, name="store-writer", daemon=True)
        self._writer_thread.start()

    async def close(self) -> None:
        """Finish the writes that wait and close the file."""
        self._queue.put(None)
        await asyncio.to_thread(self._writer_thread.join)
        await self._loop.run_in_executor(self._reader_thread, self._reader.close)
        self._reader_thread.shutdown(wait=False)
        os.close(self._wal)
        self._writer.close()

    async def write(
        self, work: Callable[[sqlite3.Connection], T], *, sync: Sync = Sync.FIRST, grows: bool = False
    ) -> T:
        """Run `work` in a transaction and return its result once that is written, and on the disk as `sync` says.

        One that `grows` the database is refused where the others would have no room left after it.
        What `work` raises undoes its own changes alone. Raises ResourceExhausted if the disk is full
        or the file locked, Internal if the database has failed.
        """
        # It is written even if the caller goes away, which cancels no more than the future.
        write = _Write(work, sync, grows, self._loop.create_future())
        self._queue.put(write)
        result: T = await write.result
        return result

    async def synced(self) -> None:
        """Return once every write that has returned is on the disk as its `sync` says; raises Internal if it is not."""
        if self._failure is not None:
            raise self._failure
        if self._syncing:
            await self.write(lambda _: None, sync=Sync.NEXT)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the connection that reads."""
        return await self._loop.run_in_executor(self._reader_thread, work, self._reader)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_LOCKED_SECONDS)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _prepare(self) -> sqlite3.Connection:
        try:
            connection = self._connect()
            migrate(connection)
        except sqlite3.Error as error:
            raise FailedPrecondition(f"database {self._path}: {error}", obj=str(self._path)) from error
        return connection

    def _serve_writes(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, last = self._gather(first)
            settled = self._commit(batch)
            # Known before anybody is told what was written.
            self._syncing = not self._full and any(write.sync is Sync.SOON for write in batch)
            with contextlib.suppress(RuntimeError):  # the loop was closed before the last write was done
                self._loop.call_soon_threadsafe(_settle, settled)
            if self._syncing:
                self._sync_wal()
                self._syncing = False
            if last:
                return

    def _gather(self, first: _Write) -> tuple[list[_Write], bool]:
        batch = [first]
        with contextlib.suppress(Empty):
            while len(batch) < _BATCH:
                write = self._queue.get_nowait()
                if write is None:
                    return batch, True
                batch.append(write)
        return batch, False

    def _commit(self, batch: list[_Write]) -> list[_Settled]:
        if self._failure is not None:
            return [(write, None, self._failure) for write in batch]
        refused: list[_Write] = []
        if any(write.grows for write in batch) and not self._room.have():
            refused = [write for write in batch if write.grows]
            batch = [write for write in batch if not write.grows]
        settled = self._transact(batch) if batch else []
        return [*settled, *((write, None, self._no_space()) for write in refused)]

    def _transact(self, batch: list[_Write], *, again: bool = False) -> list[_Settled]:
        try:
            self._set_full(any(write.sync is Sync.FIRST for write in batch))
            self._writer.execute("BEGIN IMMEDIATE")
            if len(batch) == 1:
                return [self._run_alone(batch[0])]
            settled = [self._run(write) for write in batch]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL and not again:
                self._begin_wal_again()
                return self._transact(batch, again=True)
            failure = self._give_up(error)
            return [(write, None, failure) for write in batch]
        return settled

    def _begin_wal_again(self) -> None:
        """Have what stands in the WAL brought into the database, after which its room is written over."""
        for statement in ("ROLLBACK", "PRAGMA wal_checkpoint(PASSIVE)"):
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute(statement)

    def _set_full(self, full: bool) -> None:
        if full is not self._full:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full = full

    def _sync_wal(self) -> None:
        try:
            os.fsync(self._wal)
        except OSError as error:
            self._fail(Internal(f"database {self._path}: {error.strerror}", obj=str(self._path)))

    def _run_alone(self, write: _Write) -> _Settled:
        try:
            result = write.work(self._writer)
        except sqlite3.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - as in _run
            self._writer.execute("ROLLBACK")
            return write, None, error
        self._writer.execute("COMMIT")
        return write, result, None

    def _run(self, write: _Write) -> _Settled:
        self._writer.execute("SAVEPOINT one")
        try:
            result = write.work(self._writer)
        except sqlite3.OperationalError:
            raise  # the disk or the file, not this one write
        except Exception as error:  # noqa: BLE001 - it is the caller's, and the thread must live
            self._writer.execute("ROLLBACK TO one")
            self._writer.execute("RELEASE one")
            return write, None, error
        self._writer.execute("RELEASE one")
        return write, result, None

    def _give_up(self, error: sqlite3.Error) -> JschedError:
        with contextlib.suppress(sqlite3.Error):
            self._writer.execute("ROLLBACK")
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return self._no_space()
        if error.sqlite_errorcode & _PRIMARY == sqlite3.SQLITE_BUSY:
            # Nothing was written, and what is on the disk is known: no reason to give up for good.
            return ResourceExhausted(
                f"database {self._path}: another program has locked it",
                obj=str(self._path),
                hint="end whatever has it open besides the server",
            )
        return self._fail(Internal(f"database {self._path}: {error}", obj=str(self._path)))

    def _no_space(self) -> ResourceExhausted:
        return ResourceExhausted(
            f"database {self._path}: no space left on the disk", obj=str(self._path), hint="make room on the disk"
        )

    def _fail(self, failure: JschedError) -> JschedError:
        self._failure = failure
        _LOG.critical("%s; nothing more will be written", failure)
        self._loop.call_soon_threadsafe(self._broken, failure)
        return failure


def _settle(settled: list[_Settled]) -> None:
    for write, result, error in settled:
        if write.result.done():
            continue
        if error is None:
            write.result.set_result(result)
        else:
            write.result.set_exception(error)
            write.result.exception()  # whoever asked may be gone; that is no "exception was never retrieved"
