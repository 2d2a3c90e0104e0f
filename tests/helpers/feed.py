"""A job that prints what the test says, when the test says it."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from pathlib import Path
from typing import Self

from tests.helpers.wait import wait_until


class Feed:
    """A FIFO at `path`; a job with the arguments `argv` prints what is written to it, and ends after `end`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        # Both ends in one descriptor: whoever comes first, the job or the test, need not wait for the other.
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.argv = ("cat", str(path))

    def write(self, data: bytes) -> None:
        """Let the job print this."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def end(self, last: bytes = b"\n") -> None:
        """Let the job print some last bytes and end."""
        self.write(last)
        # The job has read something, so it holds the FIFO open and sees its end.
        wait_until(self._is_empty, what="a job that reads its FIFO")
        self.close()

    def close(self) -> None:
        """Close the FIFO; twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _is_empty(self) -> bool:
        waiting: int = struct.unpack("i", fcntl.ioctl(self._fd, termios.FIONREAD, bytes(4)))[0]
        return waiting == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
