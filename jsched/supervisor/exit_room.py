"""Room for one exit record, had before the command runs: a full disk must not keep an end from being told.

It is a file without a name, O_TMPFILE, so nothing is left of it if its monitor is killed.
"""

from __future__ import annotations

import errno
import os

from jsched.linux import space
from jsched.supervisor import record
from jsched.supervisor.record import ExitRecord

_SIZE = 4096
# Older kernels take the flag for O_DIRECTORY and a file that is to be written, and so say EISDIR.
_UNNAMED_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT})


class ExitRoom:
    """What a monitor has set aside for the exit record of its next job; used again and again until it is needed."""

    def __init__(self) -> None:
        self._fd: int | None = None

    def have(self, exits_dir: str) -> None:
        """See to it that there is room, where the file system can set any aside; raises OSError if the disk is full."""
        if self._fd is not None:
            return
        try:
            fd = os.open(exits_dir, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in _UNNAMED_UNSUPPORTED:
                return
            raise
        try:
            space.set_aside(fd, 0, _SIZE)
        except OSError as error:
            os.close(fd)
            if not space.is_unsupported(error):
                raise
        else:
            self._fd = fd

    def write(self, exits_dir: str, end: ExitRecord) -> bool:
        """Write an exit record where room is; return False if there is none, raise OSError if it can't be named."""
        if self._fd is None:
            return False
        record.write_exit_into(self._fd, exits_dir, end)
        os.close(self._fd)
        self._fd = None
        return True
