"""The server comes before its jobs when the CPUs are busy: what is asked of it is short, what jobs do is not."""

from __future__ import annotations

import contextlib

from jsched.linux import priority

NICE = -10


def come_before_jobs() -> None:
    """Take a nice value of -10, if this process may and has been given none; its session, if it leads one, gets it too.

    The launcher goes back to 0. In a cgroup of version 2 that was delegated, weights decide instead:
    see `jsched.isolation.hierarchy_v2`.
    """
    # An ordinary user may not, or not now; the server does without.
    with contextlib.suppress(OSError):
        if priority.nice() == 0:
            priority.set_nice(NICE)
        if priority.nice() < 0:
            priority.set_session_nice(priority.nice())
