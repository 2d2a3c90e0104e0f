"""What a server that has crashed has printed and nobody has read.

A C library says why it ends the process on descriptor 2. In the server that is a pipe, whose
reader ends with the process: the launcher has the pipe's end as its stdin, and passes on what is left.
"""

from __future__ import annotations

import contextlib
import os
import stat

_MOST = 1 << 20
# gRPC's trace of handshakes, and how its records go on.
_CONTINUED = (b"=== Source Location Trace", b"src/core/", b" shutdown=")


def keep() -> int | None:
    """Return a close-on-exec descriptor of the pipe that stdin is, which is /dev/null from now on; None if it is none.

    Monitors close it as they are born, and no job comes near it.
    """
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return None
    kept = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return kept


def pass_on(kept: int | None) -> None:
    """Write what is left in the pipe to stderr, without gRPC's trace."""
    if kept is None:
        return
    with contextlib.suppress(OSError):
        os.set_blocking(kept, False)
        for line in _read(kept).splitlines(keepends=True):
            if not _is_trace(line):
                os.write(2, line)


def _read(kept: int) -> bytes:
    data = b""
    with contextlib.suppress(BlockingIOError):
        while len(data) < _MOST and (part := os.read(kept, 65536)):
            data += part
    return data


def _is_trace(line: bytes) -> bool:
    return (line[:1] in (b"I", b"W") and line[1:5].isdigit()) or line.startswith(_CONTINUED) or not line.strip()
