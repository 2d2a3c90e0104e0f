"""This process's standard error, and descriptor 2, which are not the same any more once it is diverted.

A C library in this process writes to descriptor 2, whatever Python does. Diverted, that is a
pipe that somebody in this process reads, and Python's own messages and those of child
processes go where they went before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys

_PIPE_SIZE = 1 << 20
_real = 2
_reader: int | None = None


def descriptor() -> int:
    """Return the descriptor that messages go to: to be given to child processes as their stderr."""
    return _real


def unread() -> int:
    """Return the end of the pipe that is read from, or /dev/null: a child may pass on what is left if we crash."""
    return subprocess.DEVNULL if _reader is None else _reader


def divert() -> int:
    """Put a pipe in place of descriptor 2, and return the end to read from; raises OSError.

    What does not fit into the pipe is lost: nobody waits for its reader.
    """
    global _real, _reader
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        real = os.dup(2)
        os.set_blocking(writer, False)
        os.dup2(writer, 2, inheritable=False)
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    # An ordinary user may not have more than /proc/sys/fs/pipe-max-size.
    with contextlib.suppress(OSError):
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    _real, _reader = real, reader
    if sys.stderr is not None:
        sys.stderr.flush()
        sys.stderr = os.fdopen(
            real, "w", encoding=sys.stderr.encoding, errors="backslashreplace", buffering=1, closefd=False
        )
    return reader
