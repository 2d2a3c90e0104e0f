"""Counted watches on one inotify instance: an event is a doorbell, and says nothing else.

What changed is for the one who is rung to find out (the size of the file, the names in the
directory), so a queue that overflows costs nothing but a look at everything.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from jsched.errors import Internal, JschedError, ResourceExhausted
from jsched.linux import inotify

_log = logging.getLogger(__name__)

# Called with the name of an event, None for "anything may have happened".
_Bell = Callable[[str | None], None]


class Watch:
    """One caller's share of a kernel watch."""

    __slots__ = ("_bell", "_watcher", "_wd")

    def __init__(self, watcher: Watcher, wd: int, bell: _Bell) -> None:
        self._watcher: Watcher | None = watcher
        self._wd = wd
        self._bell = bell

    def close(self) -> None:
        """Ring no more; the last share of a kernel watch takes it away. Twice is harmless."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher._leave(self._wd, self)

    def _ring(self, name: str | None) -> None:
        if self._watcher is None:
            return
        try:
            self._bell(name)
        except Exception:  # noqa: BLE001 - one bad callback must not silence the others
            _log.exception("a callback of a watch failed")


class Watcher:
    """The engine's one inotify instance, with a counted watch an inode.

    Belongs to the event loop on which it was opened; nothing of it may be called from elsewhere.
    """

    def __init__(self) -> None:
        self._inotify: inotify.Inotify | None = None
        self._watches: dict[int, dict[Watch, None]] = {}

    def open(self) -> None:
        """Make the inotify instance on the running event loop; ResourceExhausted names the limit that was reached."""
        if self._inotify is not None:
            raise Internal("the watcher is open already")
        try:
            self._inotify = inotify.Inotify(self._received)
        except OSError as error:
            raise _instance_error(error) from None

    def close(self) -> None:
        """Close the instance and all watches; no bell rings after this. Twice is harmless."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        for watches in self._watches.values():
            for watch in watches:
                watch._watcher = None
        self._watches.clear()

    def fileno(self) -> int:
        """Return the descriptor of the inotify instance."""
        return self._opened().fileno()

    def watch_file(self, path: Path, ring: Callable[[], None]) -> Watch:
        """Call `ring` on the loop after the file at `path` was written to or truncated (IN_MODIFY).

        Whoever calls this looks at the file afterwards: what was written before does not ring.
        Raises ResourceExhausted, naming the limit.
        """
        return self._join(path, inotify.MODIFY, lambda _: ring())

    def watch_directory(self, path: Path, arrived: Callable[[str | None], None]) -> Watch:
        """Call `arrived` on the loop with each name that was renamed into the directory (IN_MOVED_TO).

        Names that begin with "." are left out: they are files that are not finished. None means
        that names may be missing, so look at everything. Raises ResourceExhausted, naming the limit.
        """
        return self._join(path, inotify.MOVED_TO | inotify.ONLYDIR, arrived)

    def _opened(self) -> inotify.Inotify:
        if self._inotify is None:
            raise Internal("the watcher is not open")
        return self._inotify

    def _join(self, path: Path, mask: int, bell: _Bell) -> Watch:
        try:
            wd = self._opened().add(path, mask)
        except OSError as error:
            raise _watch_error(path, error) from None
        watch = Watch(self, wd, bell)
        self._watches.setdefault(wd, {})[watch] = None
        return watch

    def _leave(self, wd: int, watch: Watch) -> None:
        watches = self._watches.get(wd)
        if watches is None or watches.pop(watch, self) is self or watches:
            return
        del self._watches[wd]
        try:
            self._opened().remove(wd)
        except OSError as error:
            # The kernel was faster: the inode is gone and IN_IGNORED is on its way.
            if error.errno != errno.EINVAL:
                raise

    def _received(self, events: list[inotify.Event]) -> None:
        # A burst of writes to one file is one ring; a dict keeps the order of first appearance.
        rings: dict[tuple[int, str | None], None] = {}
        for event in events:
            if event.mask & inotify.Q_OVERFLOW:
                _log.warning("the inotify queue overflowed; looking at everything")
                rings.update(((wd, None), None) for wd in self._watches)
            elif event.mask & (inotify.MODIFY | inotify.IGNORED):
                rings[event.wd, None] = None
            elif event.mask & inotify.MOVED_TO and not event.name.startswith("."):
                rings[event.wd, event.name] = None
        for wd, name in rings:
            for watch in list(self._watches.get(wd, ())):
                watch._ring(name)
        for event in events:
            if event.mask & inotify.IGNORED:
                # Watch descriptors are not used again soon (the kernel allocates them in a circle).
                self._watches.pop(event.wd, None)


def _instance_error(error: OSError) -> JschedError:
    if error.errno == errno.ENFILE:
        return ResourceExhausted(
            "the host has no file descriptor left for inotify", obj="fs.file-max", hint="raise the sysctl fs.file-max"
        )
    if error.errno != errno.EMFILE:
        return Internal(f"inotify can't be used: {error.strerror}", obj="inotify")
    # inotify_init1(2) has one errno for two limits; another descriptor tells them apart.
    try:
        os.close(os.open("/", os.O_PATH | os.O_CLOEXEC))
    except OSError:
        return ResourceExhausted(
            "this process has no file descriptor left for inotify",
            obj="RLIMIT_NOFILE",
            hint="raise RLIMIT_NOFILE (LimitNOFILE= in a systemd unit, ulimit -n in a shell)",
        )
    return ResourceExhausted(
        "this user has all the inotify instances that fs.inotify.max_user_instances allows",
        obj="fs.inotify.max_user_instances",
        hint="raise the sysctl fs.inotify.max_user_instances, or end a program that holds many",
    )


def _watch_error(path: Path, error: OSError) -> JschedError:
    if error.errno == errno.ENOSPC:
        return ResourceExhausted(
            "this user has all the inotify watches that fs.inotify.max_user_watches allows",
            obj="fs.inotify.max_user_watches",
            hint="raise the sysctl fs.inotify.max_user_watches",
        )
    return Internal(f"{path} can't be watched: {error.strerror}", obj=str(path))
