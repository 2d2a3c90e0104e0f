"""A program whose exec hangs, as on a file system that does not answer."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path


def a_program(path: Path) -> Path:
    """Copy a program that ends at once to `path`, for leased()."""
    shutil.copy(shutil.which("true") or "/bin/true", path)
    path.chmod(0o755)
    return path


@contextlib.contextmanager
def leased(program: Path) -> Iterator[None]:
    """Hold a write lease on a file: whoever opens it waits, for up to 45 seconds, fcntl(2)."""
    descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # What tells of the one who waits is to be a signal that does nothing.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(descriptor)
