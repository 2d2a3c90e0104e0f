"""The log file of a job: made before the command, and append-only while the job runs.

Who can open it for writing, such as the job itself through /proc/self/fd/1, could otherwise
rewrite what was said. Not every file system has the attribute, and only root may set it.
"""

from __future__ import annotations

import contextlib
import os

from jsched.linux import file_attributes

_MODE = 0o640
# What st_blocks counts, stat(2), and what a file system may take ahead.
_BLOCK = 512
_SLACK = 1 << 20


def create(path: str, gid: int | None) -> int:
    """Make the file and return a descriptor that appends; raises OSError, FileExistsError if there is one."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(path.encode(), flags, _MODE)
    try:
        os.fchmod(log, _MODE)
        if gid is not None:
            os.fchown(log, -1, gid)
        with contextlib.suppress(OSError):
            file_attributes.set_append_only(log)
    except BaseException:
        os.close(log)
        raise
    return log


def leave(path: str, gid: int | None) -> None:
    """Leave a log that is an ordinary file, for a job whose monitor was killed: an empty one if there was none."""
    with contextlib.suppress(OSError):
        try:
            finish(create(path, gid))
        except FileExistsError:
            file_attributes.release(path)


def finish(log: int | None) -> None:
    """Make an ended job's log an ordinary file again, which the host's administrator may rotate and remove."""
    if log is None:
        return
    with contextlib.suppress(OSError):
        file_attributes.clear_append_only(log)
    with contextlib.suppress(OSError):
        _give_back_room(log)
    os.close(log)


def _give_back_room(log: int) -> None:
    """Free the blocks behind the end: fallocate(2) takes them for who may only append, and nobody sees them."""
    status = os.fstat(log)
    if status.st_blocks * _BLOCK > status.st_size + _SLACK:
        os.ftruncate(log, status.st_size)
