"""A job's cgroup as plain values: how it is to be made, and what was used in it; both go through JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

# More than that the database can't hold.
_MOST = 2.0**63


class Write(NamedTuple):
    """A value for a file; the file's name is relative to the plan's root."""

    file: str
    value: str


class Home(NamedTuple):
    """Where a job is in one hierarchy: the controller that it is for, and the directory of the job.

    `outside` is the directory that a monitor goes to when it leaves. In version 2, where all
    controllers have one hierarchy, the controller is "".
    """

    controller: str
    directory: str
    outside: str


class CgroupPlan(NamedTuple):
    """A job's cgroup, thought out by the server; plain enough for JSON.

    `homes` are to be made in this order, and entered in it. `writes` set the limits. `entering`
    are written before a monitor enters for a moment and `entered` after it has left, for a low
    limit on processes, that counts the monitor too.
    """

    version: int
    root: str
    homes: tuple[Home, ...]
    writes: tuple[Write, ...] = ()
    entering: tuple[Write, ...] = ()
    entered: tuple[Write, ...] = ()


class CgroupUsage(NamedTuple):
    """What a job used so far, all of its processes together; None for what this kernel doesn't tell.

    Times are seconds, `throttled` being how long its CPUs were held back by the CPU limit; memory
    (with page cache) and transferred amounts are bytes. `pids_peak` counts the monitor too, which
    is inside for a moment, if it has entered to start the command.
    """

    cpu_user: float | None = None
    cpu_system: float | None = None
    throttled: float | None = None
    memory_peak: int | None = None
    memory_current: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    read_operations: int | None = None
    written_operations: int | None = None
    pids_peak: int | None = None
    oom_kills: int | None = None


class CgroupLoad(NamedTuple):
    """What a job used and uses: seconds of CPU, bytes of memory, processes and threads; None for what is not told."""

    cpu: float | None
    memory: int | None
    pids: int | None


def plan_from_json(value: list[Any]) -> CgroupPlan:
    """Return the plan that JSON has made lists of; raises ValueError or TypeError if it was none."""
    version, root, homes, *writes = value
    before, entering, entered = ((Write(*write) for write in several) for several in writes)
    return CgroupPlan(
        int(version), str(root), tuple(Home(*home) for home in homes), tuple(before), tuple(entering), tuple(entered)
    )


def usage_from_json(value: list[Any]) -> CgroupUsage | None:
    """Return the usage that JSON has made a list of; None if it was none."""
    known = len(value) == len(CgroupUsage._fields)
    # A bool is an int, and no number of anything.
    whole = all(one is None or (type(one) in (int, float) and 0 <= one < _MOST) for one in value)
    return CgroupUsage(*value) if known and whole else None
