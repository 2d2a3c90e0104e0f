"""A reader of one job's output, with an offset of its own, that ends when the job has ended and all is read.

A follower has no task, no queue and no buffer: it is a number, and the log it counts in.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType

from jsched.errors import FailedPrecondition, InvalidArgument, OutOfRange
from jsched.job import Chunk
from jsched.output.lines import cut_lines
from jsched.output.logfile import LogFile, LogFiles
from jsched.output.piece import Piece

# A reader that never has to wait gives the loop a turn after this many bytes.
_BURST = 1024 * 1024


async def open_follower(
    logs: LogFiles,
    job_id: str,
    path: Path,
    ended: bool,
    offset: int,
    follow: bool,
    chunk_size: int,
    owner: str = "",
) -> Follower:
    """Return a follower that starts at `offset` bytes; see LogFiles.acquire for what `ended` must be.

    `owner` is the job's, by whom followers are counted.

    Raises InvalidArgument for a negative offset, OutOfRange for one beyond the end, DataLoss if the
    log file is gone.
    """
    if offset < 0:
        raise InvalidArgument(f"offset {offset} is negative", obj="offset")
    if chunk_size <= 0:
        raise InvalidArgument(f"chunk_size is {chunk_size}, and has to be more than 0", obj="chunk_size")
    log = await logs.acquire(job_id, path, ended, owner)
    try:
        _check_offset(offset, log.look())
    except BaseException:
        logs.release(log)
        raise
    return Follower(logs, log, offset, follow=follow, chunk_size=chunk_size)


class Follower:
    """Reads a job's output from an offset on, by chunk or by line.

    With `follow` it ends when the job has ended and every byte has been read; without, at the
    size the log had at the first read. `offset` is that of the next byte, in bytes from the
    start of the log. `finished` is true once the end has been reached. One read at a time.
    """

    __slots__ = (
        "_burst",
        "_busy",
        "_chunk_size",
        "_follow",
        "_log",
        "_logs",
        "_until",
        "_waiter",
        "finished",
        "offset",
    )

    def __init__(self, logs: LogFiles, log: LogFile, offset: int, *, follow: bool, chunk_size: int) -> None:
        self.offset = offset
        self.finished = False
        self._log = log
        self._follow = follow
        self._chunk_size = chunk_size
        # None once the log was given back.
        self._logs: LogFiles | None = logs
        self._until = -1
        self._burst = 0
        self._busy = False
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> Chunk | None:
        """Wait for at least one byte and return what there is, at most `chunk_size` bytes; None at the end.

        Raises DataLoss if the log was cut, ResourceExhausted if it can't be watched, the error of
        LogFiles.interrupt, and FailedPrecondition if the follower is closed.
        """
        return _chunk(await self.read_piece())

    async def read_piece(self) -> Piece | None:
        """As `read`, with the frame that the engine has, to be sent as it is."""
        if self._busy:
            raise FailedPrecondition("another read of this follower is under way")
        self._busy = True
        try:
            if self._burst >= _BURST:
                self._burst = 0
                await asyncio.sleep(0)
            while True:
                limit = self._available()
                if self.finished:
                    return None
                if limit:
                    piece = self._log.peek(self.offset, limit) or await self._log.read(self.offset, limit)
                    if self._take(piece):
                        return piece
                elif not self._log.watched:
                    self._log.watch()
                else:
                    await self._wait()
        finally:
            self._busy = False

    def read_nowait(self) -> Chunk | None:
        """Return what is there now, at most `chunk_size` bytes, or None.

        None means that there is nothing now, that it would have to be fetched from the disk (which
        `read` does), or, if `finished` is set, that there is nothing ever after. Raises as `read`.
        """
        if self._busy:
            raise FailedPrecondition("another read of this follower is under way")
        if not self._available():
            if self.finished:
                return None
            self._log.look()
        limit = self._available()
        piece = self._log.peek(self.offset, limit) if limit else None
        return _chunk(piece) if piece is not None and self._take(piece) else None

    def __aiter__(self) -> Follower:
        """Iterate by chunk."""
        return self

    async def __anext__(self) -> Chunk:
        """Return the next chunk."""
        chunk = await self.read()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def lines(self) -> AsyncIterator[bytes]:
        r"""Iterate by line, each with its b"\n"; the last one may be without.

        A line of more than MAX_LINE bytes comes in pieces of MAX_LINE bytes, the last of which
        ends it. `offset` runs ahead of the lines by what of the last chunk is not yet handed out.
        """
        held = bytearray()
        async for chunk in self:
            for piece in cut_lines(held, chunk.data):
                yield piece
        if held:
            yield bytes(held)

    async def aclose(self) -> None:
        """Give the log back; a read that waits ends with FailedPrecondition. Twice is harmless."""
        if self._logs is None:
            return
        self._close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def __aenter__(self) -> Follower:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _available(self) -> int:
        """Return how many bytes may be asked for, 0 if none are known; sets `finished` at the end."""
        if self.finished:
            return 0
        log = self._log
        if self._logs is None:
            raise _closed()
        if log.interrupted is not None:
            self._close()
            # A copy: every raise adds to an error's own traceback.
            raise copy.copy(log.interrupted)
        if self._follow:
            # Both were set by the same LogFile.finish, `ended` before the size was looked at.
            end, size = log.ended, log.size
        else:
            if self._until < 0:
                self._until = log.look()
            end, size = True, self._until
        if self.offset < size:
            return min(size - self.offset, self._chunk_size) if end else self._chunk_size
        # A read may have got bytes that came after the last look; only a look after it tells of a cut.
        if self.offset > size and self.offset > log.look():
            raise log.loss(self.offset)
        if end:
            self.finished = True
            self._close()
        return 0

    def _take(self, piece: Piece) -> bool:
        if piece.size:
            self.offset = piece.end
            self._burst += piece.size
            return True
        # There was something and now there isn't: the file was cut in between.
        if self._logs is None:
            raise _closed()
        if self._log.look() == self.offset and self._follow and not self._log.ended:
            return False
        raise self._log.loss(self.offset)

    async def _wait(self) -> None:
        self._burst = 0
        waiter = self._waiter = self._log.waiter()
        try:
            await waiter
        finally:
            self._waiter = None
            self._log.forget(waiter)

    def _close(self) -> None:
        logs, self._logs = self._logs, None
        if logs is not None:
            logs.release(self._log)


def _chunk(piece: Piece | None) -> Chunk | None:
    return None if piece is None else Chunk(piece.offset, piece.data)


def _closed() -> FailedPrecondition:
    return FailedPrecondition("the follower is closed")


def _check_offset(offset: int, size: int) -> None:
    if offset > size:
        raise OutOfRange(f"offset {offset} is past the end of the output, which has {size} bytes", obj="offset")
