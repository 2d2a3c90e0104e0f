"""The trail's end, written down where it can be compared: beside the trail, and in the server's log.

A chain shows every change of its middle to whoever has its end. Who can write the trail can also
make it anew from some line on, or cut its end off: that shows only against an end that was
written down where he can't write. The server's log is such a place if the journal keeps it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from jsched.audit.chain import ORIGIN, Link
from jsched.audit.trail import Trail

_log = logging.getLogger("jsched.audit")
Snapshot = Callable[[], tuple[Link, int]]


class Anchors:
    """A thread that drops an anchor at once, and every `interval` seconds in which lines were written.

    The trail is synced before: after a power cut it does not end before its last anchor.
    """

    def __init__(self, trail: Trail, snapshot: Snapshot, interval: float) -> None:
        self._trail = trail
        self._snapshot = snapshot
        self._interval = interval
        self._last = ORIGIN
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-anchors", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Drop a last anchor and end the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            stopped = self._stopped.is_set()
            try:
                self._drop()
            except OSError as error:
                _log.error("%s can't be synced: %s", self._trail.path, error.strerror)
            if stopped:
                return
            self._stopped.wait(self._interval)

    def _drop(self) -> None:
        link, descriptor = self._snapshot()
        try:
            if link == self._last:
                return
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._last = link
        _log.info("anchor %s of %s", link, self._trail.path)
        self._write(link)

    def _write(self, link: Link) -> None:
        # In place and always as long: that works on a full disk.
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self._trail.anchor_path, flags, 0o600)
        try:
            os.pwrite(descriptor, f"{link.seq:020}:{link.hash}\n".encode("ascii"), 0)
        finally:
            os.close(descriptor)
