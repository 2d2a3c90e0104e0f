"""A stdout that is closed or full: what is said of it, and that nothing else is taken for it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from jsched.errors import ResourceExhausted

_STDOUT = 1


def reserve_stdout() -> None:
    """Where stdout is closed, make writing to it fail.

    Its descriptor would be the next file's or connection's, and get what is meant for stdout.
    """
    if sys.stdout is not None:
        return
    try:
        os.fstat(_STDOUT)
    except OSError:
        null = os.open(os.devnull, os.O_RDONLY)
        if null != _STDOUT:
            os.dup2(null, _STDOUT)
            os.close(null)
        sys.stdout = open(_STDOUT, "w", closefd=False)  # noqa: SIM115 - for as long as the process lives


def unwritable(error: OSError, hint: str = "") -> ResourceExhausted:
    """Return the error for what could not be written to stdout."""
    what = "it is closed" if error.errno == errno.EBADF else error.strerror
    return ResourceExhausted(f"can't write to stdout: {what}", obj="stdout", hint=hint)


@contextmanager
def written(hint: str = "") -> Iterator[None]:
    """Flush what is printed meanwhile.

    Raises BrokenPipeError if nobody reads it, ResourceExhausted with the hint if it can't be written.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except ResourceExhausted as error:
        if error.obj == "stdout":
            error.hint = error.hint or hint
        raise
    except OSError as error:
        raise unwritable(error, hint) from None
