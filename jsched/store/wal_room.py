"""Room on the disk behind the end of SQLite's WAL: a full disk must not keep the ends of jobs from being written.

SQLite takes the file's size for all there is of it, and writes into what was set aside as it
comes to it. Source: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import os

from jsched.linux import space

# A row's move takes some ten pages; those of several jobs that end at the same time share most of them.
RESERVE = 1 << 20
_STEP = 1 << 18


class WalRoom:
    """Keeps RESERVE bytes set aside behind the end of the file open as `fd`, as long as there are so many."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._set_aside_to = 0
        self._supported = True

    def have(self) -> bool:
        """See to it that there is room; return False if the disk is full, True where nothing can be set aside."""
        if not self._supported:
            return True
        size = os.fstat(self._fd).st_size
        if size + RESERVE <= self._set_aside_to:
            return True
        try:
            space.set_aside(self._fd, size, RESERVE + _STEP)
        except OSError as error:
            self._supported = not space.is_unsupported(error)
            return not self._supported
        self._set_aside_to = size + RESERVE + _STEP
        return True
