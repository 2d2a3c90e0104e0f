"""The one read-only descriptor of a log file: opened and read without ever holding up the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path

from jsched.errors import DataLoss, Internal, JschedError, ResourceExhausted
from jsched.output.piece import MAX_HEAD, Frame, Piece

# O_NONBLOCK: a FIFO that somebody put in the log's place must not hold the opening thread.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class LogDescriptor:
    """Opens, measures, reads and closes one log file.

    `scratch` is a buffer that all descriptors of one event loop share; it grows to the largest read.
    What is read comes with the head that `frame` gives, if there is one.
    """

    __slots__ = ("_closed", "_fd", "_frame", "_job_id", "_nowait", "_opening", "_path", "_reading", "_scratch")

    def __init__(self, job_id: str, path: Path, scratch: bytearray, frame: Frame | None) -> None:
        self._job_id = job_id
        self._path = path
        self._scratch = scratch
        self._frame = frame
        self._fd = -1
        self._closed = False
        self._nowait = True
        self._opening: asyncio.Task[None] | None = None
        self._reading: dict[tuple[int, int], asyncio.Future[Piece]] = {}

    @property
    def opened(self) -> bool:
        """Whether there is a descriptor."""
        return self._fd >= 0

    async def open(self) -> None:
        """Open the file in a thread, once for all who ask.

        Raises DataLoss if it is gone or no longer a regular file, ResourceExhausted naming the limit.
        """
        if self._opening is None:
            # A task, not the thread's future: that one is done a moment before its callbacks have run.
            self._opening = asyncio.get_running_loop().create_task(self._open_in_thread())
            self._opening.add_done_callback(_look_at_error)
        # Shielded: the one who asked first may be cancelled, the others still want it.
        await asyncio.shield(self._opening)

    def path(self) -> Path:
        """Return a path to this very file, whatever has become of its name. Source: proc(5)."""
        return Path(f"/proc/self/fd/{self._fd}")

    def size(self) -> int:
        """Ask the kernel for the size in bytes."""
        return os.fstat(self._fd).st_size

    def peek(self, offset: int, limit: int) -> Piece | None:
        """Read at most `limit` bytes at `offset` if that needs no disk; None if it does.

        A piece of no bytes means that the file ends there. Source: RWF_NOWAIT in preadv2(2).
        """
        if not self._nowait:
            return None
        if MAX_HEAD + limit > len(self._scratch):
            self._scratch.extend(bytes(MAX_HEAD + limit - len(self._scratch)))
        # preadv fills a buffer and gRPC wants bytes: the one copy that this path makes, head and all.
        with memoryview(self._scratch) as view, view[MAX_HEAD : MAX_HEAD + limit] as buffer:
            try:
                count = os.preadv(self._fd, [buffer], offset, os.RWF_NOWAIT)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS):
                    raise self._read_error(error) from None
                self._nowait = False
                return None
            head = self._head(offset, count)
            start = MAX_HEAD - len(head)
            view[start:MAX_HEAD] = head
            return Piece(offset, count, bytes(view[start : MAX_HEAD + count]))

    async def read(self, offset: int, limit: int) -> Piece:
        """Read at most `limit` bytes at `offset` in a thread, once for all who ask for the same.

        A piece of no bytes means that the file ends there. Raises DataLoss if the disk fails.
        """
        key = (offset, limit)
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.get_running_loop().run_in_executor(None, self._read, offset, limit)
            self._reading[key] = reading
            reading.add_done_callback(lambda done: self._has_read(key, done))
        return await asyncio.shield(reading)

    def close(self) -> None:
        """Give the descriptor back, as soon as no thread uses it; twice is harmless."""
        self._closed = True
        # A thread that still reads would read from whatever gets the descriptor's number next.
        if self._fd < 0 or self._reading:
            return
        fd, self._fd = self._fd, -1
        if os.fstat(fd).st_nlink:
            os.close(fd)
        else:
            # The last close of a removed file frees its blocks, which takes long if it is large.
            asyncio.get_running_loop().run_in_executor(None, os.close, fd)

    def loss(self, what: str) -> DataLoss:
        """Return the error that says what has become of the file."""
        return DataLoss(
            f"log file {self._path} of job {self._job_id} {what}",
            obj=str(self._path),
            hint="logs are removed with jsched-cli delete; look for what else touches the log directory",
        )

    async def _open_in_thread(self) -> None:
        self._fd = await asyncio.get_running_loop().run_in_executor(None, self._open)
        if self._closed:
            self.close()

    def _open(self) -> int:
        try:
            fd = os.open(self._path, _FLAGS)
        except OSError as error:
            raise self._open_error(error) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self.loss("is no longer a regular file")
        return fd

    def _read(self, offset: int, limit: int) -> Piece:
        try:
            data = os.pread(self._fd, limit, offset)
        except OSError as error:
            raise self._read_error(error) from None
        return Piece(offset, len(data), b"".join((self._head(offset, len(data)), data)))

    def _head(self, offset: int, count: int) -> bytes:
        return b"" if self._frame is None or not count else self._frame(offset, count)

    def _has_read(self, key: tuple[int, int], reading: asyncio.Future[Piece]) -> None:
        del self._reading[key]
        if not reading.cancelled():
            reading.exception()
        if self._closed:
            self.close()

    def _open_error(self, error: OSError) -> JschedError:
        if error.errno == errno.ENOENT:
            return self.loss("is gone")
        if error.errno == errno.ELOOP:
            return self.loss("was replaced by a symbolic link")
        if error.errno in (errno.EMFILE, errno.ENFILE):
            limit = "RLIMIT_NOFILE" if error.errno == errno.EMFILE else "fs.file-max"
            return ResourceExhausted(
                f"no file descriptor is left to open {self._path}",
                obj=limit,
                hint=f"raise {limit} or follow fewer jobs",
            )
        return Internal(
            f"log file {self._path} of job {self._job_id} can't be opened: {error.strerror}", obj=str(self._path)
        )

    def _read_error(self, error: OSError) -> DataLoss:
        return self.loss(f"can't be read: {error.strerror}")


def _look_at_error(opening: asyncio.Task[None]) -> None:
    # So that asyncio does not complain of one that nobody waited for.
    if not opening.cancelled():
        opening.exception()
