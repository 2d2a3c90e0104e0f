"""What one thread does with the trail: lines are written, room is set aside, files are put aside.

What it does by itself is in the trail as well, as events: see `_report`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from jsched.audit.chain import Link
from jsched.audit.trail import Trail, first_line
from jsched.audit.writer import Writer, event_body
from jsched.audit_config import AuditConfig

_log = logging.getLogger("jsched.audit")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Outcome(NamedTuple):
    """What became of lines.

    `links` are those of the lines that were written, `failure` says what stopped the rest. `ahead`
    is how many bytes can be written for sure from now on, `shortage` says why not as many as wanted.
    """

    links: list[Link]
    ahead: int
    failure: OSError | None
    shortage: OSError | None


class Recorder:
    """A trail that is written; raises OSError if it can't be opened. Its methods block, and may be used by any thread.

    A trail that ends before the anchor beside it was cut: it goes on with the anchor's number and
    hash, so that no number is used twice and the gap shows.
    """

    def __init__(self, trail: Trail, config: AuditConfig) -> None:
        self._trail = trail
        self._config = config
        self._lock = threading.Lock()
        self._events: list[bytes] = []
        self._failing = False
        self._rotation_fails = False
        self._writer = Writer(trail)
        self._compare_with_anchor()
        if self._writer.skipped is not None:
            _log.warning("%s ends with %d bytes that are no line", trail.path, self._writer.skipped.bytes)

    @property
    def link(self) -> Link:
        """The last line's."""
        return self._writer.link

    def record(self, bodies: Sequence[bytes], wanted: int) -> Outcome:
        """Write a line for each body, and have `wanted` bytes set aside afterwards, if that can be done."""
        with self._lock:
            failure = self._reopen_if_displaced()
            if failure is None:
                before = len(self._events)
                links, failure = self._writer.append([*self._events, *bodies])
                del self._events[: len(links)]
                links = links[before:]
            else:
                links = []
            self._say(failure)
            if failure is None and self._writer.size >= self._config.max_size:
                self._rotate(wanted)
            enough = self._writer.ahead >= wanted - wanted // 4
            shortage = None if enough else self._set_aside(wanted)
            return Outcome(links, self._writer.ahead, failure, shortage)

    def set_aside(self, wanted: int) -> Outcome:
        """Have `wanted` bytes set aside, or as many as there are."""
        with self._lock:
            shortage = self._set_aside(wanted)
            return Outcome([], self._writer.ahead, None, shortage)

    def snapshot(self) -> tuple[Link, int]:
        """Return the last line's link and a new descriptor of the file that it stands in."""
        with self._lock:
            return self._writer.link, self._writer.duplicate()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._events:
                self._writer.append(self._events)
            self._writer.close()

    def _compare_with_anchor(self) -> None:
        known, found = self._trail.anchor(), self._writer.link
        if known is None or known.seq < found.seq or known == found:
            return
        _log.error("%s was cut or changed: it ends with %s, and had come to %s", self._trail.path, found, known)
        self._writer.link = known
        self._report("trail_gap", found=str(found), expected=str(known))

    def _reopen_if_displaced(self) -> OSError | None:
        try:
            what = self._writer.displaced()
            if what:
                self._writer.reopen()
        except OSError as error:
            return error
        if what:
            _log.warning("%s: %s; it is written on", self._trail.path, what)
            self._report("trail_displaced", reason=what)
        return None

    def _rotate(self, wanted: int) -> None:
        try:
            aside = self._writer.rotate(wanted)
        except OSError as error:
            if not self._rotation_fails:
                _log.error("%s can't be put aside, and is written on: %s", self._trail.path, error.strerror)
            self._rotation_fails = True
            return
        self._rotation_fails = False
        self._report("trail_rotated", file=aside.name, anchor=str(self._writer.link))
        with contextlib.suppress(OSError):
            self._flush_events()
        if self._config.keep is not None:
            self._remove_old(self._config.keep)

    def _remove_old(self, keep: int) -> None:
        try:
            old = self._trail.put_aside()
            for path, after in itertools.pairwise(old[: 1 - keep or None]):
                line = first_line(after)
                if line is None:
                    return
                # The line comes first: a file that is gone without one is missing.
                self._report("trail_removed", file=path.name, anchor=f"{line.link.seq - 1}:{line.prev}")
                self._flush_events()
                os.unlink(path)
        except OSError as error:
            _log.error("old files of %s can't be removed: %s", self._trail.path, error.strerror)

    def _flush_events(self) -> None:
        links, failure = self._writer.append(self._events)
        del self._events[: len(links)]
        if failure is not None:
            raise failure

    def _set_aside(self, wanted: int) -> OSError | None:
        shortage = None
        limited = self._writer.limited
        try:
            self._writer.set_aside(wanted)
        except OSError as error:
            shortage = error
        if limited and not self._writer.limited:
            _log.warning("no room can be set aside for %s: on a full disk stops are refused as well", self._trail.path)
        return shortage

    def _report(self, kind: str, **fields: Any) -> None:
        """Have a line written about something that is no call, before the next one.

        `trail_gap`: the trail was cut or changed while no server ran. `trail_displaced`: somebody
        has moved, removed or changed the file. `trail_rotated`: a file was put aside.
        `trail_removed`: a file is removed because only so many are kept.
        """
        self._events.append(event_body(kind, fields))

    def _say(self, failure: OSError | None) -> None:
        if failure is not None and not self._failing:
            _log.error("the audit trail %s can't be written: %s; calls are refused", self._trail.path, failure.strerror)
        elif failure is None and self._failing:
            _log.warning("the audit trail %s is written again", self._trail.path)
        self._failing = failure is not None


def is_full(failure: OSError | None) -> bool:
    """Return whether an error means that there is no room."""
    return failure is not None and failure.errno in _FULL
