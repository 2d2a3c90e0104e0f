"""inotify(7) on the running event loop: one instance, non-blocking, events handed over in batches."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Protocol, cast

import inotify_simple  # type: ignore[import-untyped]

MODIFY = int(inotify_simple.flags.MODIFY)
MOVED_TO = int(inotify_simple.flags.MOVED_TO)
Q_OVERFLOW = int(inotify_simple.flags.Q_OVERFLOW)
IGNORED = int(inotify_simple.flags.IGNORED)
ONLYDIR = int(inotify_simple.flags.ONLYDIR)

# At most 1,024 nameless events a turn of the loop, so that a full queue (16,384 by default)
# does not hold up everything else; the descriptor stays readable and the loop comes back.
_BATCH = 16 * 1024


class Event(Protocol):
    """struct inotify_event of inotify(7): watch descriptor, mask, and the name inside a watched directory."""

    @property
    def wd(self) -> int: ...  # noqa: D102

    @property
    def mask(self) -> int: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102


class Inotify:
    """One inotify instance, read by the event loop that runs when it is made.

    `received` is called on the loop with each batch of events, in the kernel's order.
    Raises OSError: EMFILE where fs.inotify.max_user_instances or RLIMIT_NOFILE is reached,
    ENFILE where fs.file-max is. Source: inotify_init1(2).
    """

    __slots__ = ("_inotify", "_loop", "_received")

    def __init__(self, received: Callable[[list[Event]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = received
        self._inotify = inotify_simple.INotify(nonblocking=True)
        self._loop.add_reader(self._inotify.fileno(), self._read)

    def fileno(self) -> int:
        """Return the descriptor, close-on-exec."""
        return cast("int", self._inotify.fileno())

    def add(self, path: str | os.PathLike[str], mask: int) -> int:
        """Watch the inode at `path` and return the watch descriptor, the same one for the same inode.

        Raises OSError, ENOSPC where fs.inotify.max_user_watches is reached. Source: inotify_add_watch(2).
        """
        return cast("int", self._inotify.add_watch(path, mask))

    def remove(self, wd: int) -> None:
        """Drop a watch; OSError with EINVAL if the kernel has dropped it already. Source: inotify_rm_watch(2)."""
        self._inotify.rm_watch(wd)

    def close(self) -> None:
        """Close the instance, and with it every watch; twice is harmless."""
        if not self._inotify.closed:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()

    def _read(self) -> None:
        try:
            data = os.read(self._inotify.fileno(), _BATCH)
        except BlockingIOError:
            return
        self._received(inotify_simple.parse_events(data))
