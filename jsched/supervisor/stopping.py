"""How a job is made to end: SIGTERM and SIGCONT once, SIGKILL to the whole tree when the grace is over."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 1.0


class Stopping:
    """The end that a job is heading for, if any; times are seconds of now().

    `pid` leads the session that is asked to end. `stopped` and `timed_out` say which ends have been asked for,
    `killed` that SIGKILL was sent.
    """

    def __init__(self, pid: int, grace: float, time_limit: float | None) -> None:
        self._pid = pid
        self._grace = grace
        self._time_limit = math.inf if time_limit is None else now() + time_limit
        self._kill_at = math.inf
        self._pause = _FIRST_PAUSE
        self._asked = False
        self.stopped = False
        self.timed_out = False
        self.killed = False

    @property
    def next_at(self) -> float:
        """When enforce() has something to do; infinity if never."""
        return min(self._time_limit, self._kill_at)

    def request(self, grace: float | None) -> None:
        """Carry out a stop request with so much grace, or the job's own."""
        self.stopped = True
        self._end_within(self._grace if grace is None else grace)

    def enforce(self, kill: Callable[[], None]) -> None:
        """Do what is due, with `kill` that ends everything. Raises OSError if /proc or the cgroup can't be read."""
        if now() >= self._time_limit:
            self._time_limit = math.inf
            self.timed_out = True
            self._end_within(self._grace)
        if now() >= self._kill_at:
            self.killed = True
            kill()
            # Again, should something have got away.
            self._kill_at = now() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _end_within(self, grace: float) -> None:
        # The first asks politely; a later one can only make it sooner.
        self._kill_at = min(self._kill_at, now() + grace)
        if not self._asked and grace > 0:
            self._terminate()
        self._asked = True

    def _terminate(self) -> None:
        # The pid is the group's too, once the child has its session. SIGCONT lets a stopped job see SIGTERM.
        for number in (signal.SIGTERM, signal.SIGCONT):
            try:
                os.killpg(self._pid, number)
            except ProcessLookupError:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(self._pid, number)
            except PermissionError:
                pass


def now() -> float:
    """Return the seconds since the boot; they go on while the host sleeps, and nobody can set them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
