"""From the binds that a job asks for to what is mounted: what is really there, and whether it may be shown."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from jsched.allowance import Allowance
from jsched.confinement import Bind
from jsched.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from jsched.isolation import sandbox
from jsched.isolation.places import RESERVED


def allowed_bind(bind: Bind, allowance: Allowance, private: Iterable[Path]) -> sandbox.Bind:
    """Return what is mounted: the place that was judged, however its links are changed afterwards.

    `private` are directories of the server's own. Raises PermissionDenied for what may not be shown,
    InvalidArgument for a target where a job has something else, FailedPrecondition for a source that
    is not there, or can't be looked at.
    """
    _refuse_reserved(bind)
    try:
        # What it really is: a link in a directory that jobs may write to leads wherever they like.
        real = Path(os.path.realpath(bind.source))
        allowance.check_bind(bind, real)
        own = [Path(os.path.realpath(path)) for path in private]
    except RecursionError:
        # A chain of links far longer than Linux follows.
        raise _unreadable(bind, errno.ELOOP) from None
    except OSError as error:
        # os.path.realpath() raises nothing for what does not change while it looks.
        raise _unreadable(bind, error.errno or errno.EIO) from None
    if any(real.is_relative_to(path) or path.is_relative_to(real) for path in own):
        raise PermissionDenied(
            f"bind {bind.source} would show the server's own files",
            obj="binds",
            hint="it lies in a directory of the server's, or has one in it: bind another directory",
        )
    if not os.path.lexists(real):
        raise _unreadable(bind, errno.ENOENT)
    return sandbox.Bind(str(real), bind.place, bind.writable)


def _refuse_reserved(bind: Bind) -> None:
    for reserved in RESERVED:
        if bind.place == reserved or bind.place.startswith(f"{reserved}/"):
            raise InvalidArgument(
                f"bind {bind.source}:{bind.target} would cover what a job has at {reserved}",
                obj="binds",
                hint=f"name a target outside of {', '.join(RESERVED)}",
            )


def _unreadable(bind: Bind, number: int) -> FailedPrecondition:
    return FailedPrecondition(
        f"bind {bind.source}: {os.strerror(number)}",
        obj="binds",
        hint="look what is there on the server's host, and that nobody changes it while the job starts",
    )
