"""How much of a busy CPU this process gets: nice(2), and the nice value of its session, sched(7), autogroups."""

from __future__ import annotations

import contextlib
import os

_AUTOGROUP = "/proc/self/autogroup"


def nice() -> int:
    """Return the nice value of this thread, from -20 to 19; less is more CPU."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def set_nice(value: int) -> None:
    """Give this thread, and all that it starts from now on, a nice value.

    Raises PermissionError for one that is less than it has, without CAP_SYS_NICE or RLIMIT_NICE.
    """
    os.setpriority(os.PRIO_PROCESS, 0, value)


def give_up_precedence() -> None:
    """Go back to a nice value of 0 if this process has been given a lower one, for good without CAP_SYS_NICE."""
    if nice() < 0:
        set_nice(0)


def set_session_nice(value: int) -> None:
    """Give the session that this process leads a nice value beside other sessions, where the kernel groups by them.

    A new session that a child makes has its own, which is 0. Nothing is done for a process that leads
    none: it would take the others of its session along. Raises PermissionError as `set_nice` does, and
    BlockingIOError without CAP_SYS_ADMIN within a tenth of a second of another such call on this host.
    """
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(FileNotFoundError), open(_AUTOGROUP, "w") as file:
            file.write(str(value))
