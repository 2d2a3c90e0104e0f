"""Log files as followers see them: one descriptor, one watch and one bell a job, shared by all of them.

The size of the file is the truth. Whoever finds nothing to read waits for the bell, and the
bell is hung up before the size is looked at for the last time, so no write is missed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from jsched.errors import DataLoss, JschedError
from jsched.output.descriptor import LogDescriptor
from jsched.output.piece import Frame, Piece, PieceCache
from jsched.output.watcher import Watch, Watcher


class LogFile:
    """One job's log, shared by all its followers. Made, counted and closed by LogFiles.

    `size` is the size in bytes when the file was last looked at. `ended` says that the job has
    ended and no byte comes any more. `interrupted` is the error that followers end with.
    """

    __slots__ = (
        "_cache",
        "_file",
        "_waiters",
        "_watch",
        "_watcher",
        "ended",
        "interrupted",
        "job_id",
        "owner",
        "size",
        "users",
    )

    def __init__(self, job_id: str, owner: str, file: LogDescriptor, watcher: Watcher, cache: PieceCache) -> None:
        self.job_id = job_id
        self.owner = owner
        self.size = 0
        self.ended = False
        self.interrupted: JschedError | None = None
        self.users = 0
        self._file = file
        self._watcher = watcher
        self._watch: Watch | None = None
        self._cache = cache
        self._waiters: set[asyncio.Future[None]] = set()

    async def open(self) -> None:
        """Open the file and look at its size; errors as LogDescriptor.open."""
        if not self._file.opened:
            await self._file.open()
        self.look()

    def look(self) -> int:
        """Ask the kernel for the size, wake those who wait if it has changed, and return it."""
        size = self._file.size()
        if size != self.size:
            if size < self.size:
                self._cache.forget(self)
            self.size = size
            self._wake()
        return size

    def finish(self) -> None:
        """Say that the job has ended: no byte comes any more. Wakes everyone; twice is harmless."""
        if self.ended:
            return
        # Before the size is looked at, so that this look is the last that is needed.
        self.ended = True
        if self._file.opened:
            self.look()
        self._unwatch()
        self._wake()

    def interrupt(self, error: JschedError) -> None:
        """End every follower with a copy of this error."""
        self.interrupted = error
        self._wake()

    @property
    def watched(self) -> bool:
        """Whether `size` follows the file by itself as the event loop turns."""
        return self._watch is not None

    def watch(self) -> None:
        """Hang up the bell, then look: after this a change either shows in `size` or is going to wake a waiter.

        Raises ResourceExhausted if the kernel has no watch left.
        """
        self._watch = self._watcher.watch_file(self._file.path(), self._rung)
        self.look()

    def waiter(self) -> asyncio.Future[None]:
        """Return a future of the caller's own that is done when `size`, `ended` or `interrupted` changes.

        To be made in the same turn of the loop in which the caller found nothing to read, and
        given back with `forget`.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        return waiter

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Take a waiter back, woken, cancelled or not."""
        self._waiters.discard(waiter)

    def peek(self, offset: int, limit: int) -> Piece | None:
        """As LogDescriptor.peek; those who stand at one offset get the same piece."""
        piece = self._cache.get(self, offset, limit)
        # One who lags must not be fed the small pieces that the fastest has read, or he never catches up.
        if piece is None or (piece.end < self.size and piece.size < limit):
            piece = self._file.peek(offset, limit)
            # A lone reader comes by once: nothing to share, nothing to keep.
            if piece is not None and piece.size and self.users > 1:
                self._cache.put(self, limit, piece)
        return piece

    async def read(self, offset: int, limit: int) -> Piece:
        """As LogDescriptor.read; those who ask while it reads get the same piece."""
        return await self._file.read(offset, limit)

    def close(self) -> None:
        """Give the watch and the descriptor back; twice is harmless."""
        self._unwatch()
        self._cache.forget(self)
        self._file.close()

    def loss(self, offset: int) -> DataLoss:
        """Return the error of one who stands beyond the end of a file that has shrunk."""
        return self._file.loss(f"was cut while it was read: byte {offset} is gone")

    def _rung(self) -> None:
        self.look()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()


class LogFiles:
    """The log files that are being followed: one LogFile a job, counted. Owned by the engine.

    With a `frame` all that is read comes with the heads that it gives.
    """

    def __init__(self, watcher: Watcher, frame: Frame | None = None) -> None:
        self._watcher = watcher
        self._frame = frame
        self._cache = PieceCache()
        self._scratch = bytearray()
        self._logs: dict[str, LogFile] = {}

    async def acquire(self, job_id: str, path: Path, ended: bool, owner: str = "") -> LogFile:
        """Return the job's log, open, to be given back with `release`.

        From the call on, `finish` and `interrupt` reach it. So the caller must have learnt `ended`
        in the same turn of the event loop, or ask again after this and call `finish` itself.
        Raises DataLoss if the file is gone, ResourceExhausted if no descriptor is left.
        """
        log = self._logs.get(job_id)
        if log is None:
            file = LogDescriptor(job_id, path, self._scratch, self._frame)
            log = self._logs[job_id] = LogFile(job_id, owner, file, self._watcher, self._cache)
        log.users += 1
        try:
            await log.open()
            if ended:
                log.finish()
        except BaseException:
            self.release(log)
            raise
        return log

    def release(self, log: LogFile) -> None:
        """Give a log back; the last one closes it."""
        log.users -= 1
        if not log.users:
            del self._logs[log.job_id]
            log.close()

    def finish(self, job_id: str) -> None:
        """Say that a job has ended, to those who follow it, if any."""
        log = self._logs.get(job_id)
        if log is not None:
            log.finish()

    def followers(self, visible_to: str | None) -> int:
        """Return how many there are, of all jobs or of one user's."""
        return sum(log.users for log in self._logs.values() if visible_to in (None, log.owner))

    def interrupt(self, error: JschedError) -> None:
        """End every follower that there is with a copy of this error; those that come later are not touched."""
        for log in self._logs.values():
            log.interrupt(error)
