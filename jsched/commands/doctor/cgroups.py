"""What jobs' shares of the machine are held by: the cgroup hierarchy, its controllers, and who may use it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jsched.commands.doctor.finding import Finding, ok, warn

# What each controller is for; version 1 has another name for that of disks.
_LIMITS = {
    "cpu": "--cpus and --cpu-weight",
    "memory": "--memory and --swap",
    "pids": "--pids",
    "io": "--disk-...",
}
_FIRST_VERSIONS = {"blkio": "io"}
_SUBJECT = "cgroups"
_UNLIMITED = "jobs have no limits, and their usage is not counted"


class Hierarchy(NamedTuple):
    """A mounted hierarchy: its version, where it is, and the names of its controllers."""

    version: int
    mount: Path
    controllers: frozenset[str]


def cgroups(mountinfo: Path = Path("/proc/self/mountinfo"), own: Path = Path("/proc/self/cgroup")) -> Iterator[Finding]:
    """Which version jsched uses here, what it can limit with it, and whether this user may."""
    hierarchies = list(_hierarchies(mountinfo))
    first = [one for one in hierarchies if one.version == 1 and one.controllers & _known()]
    second = next((one for one in hierarchies if one.version == 2), None)
    if first:
        beside = f", beside version 2 at {second.mount}" if second else ""
        yield _controllers(1, frozenset().union(*(one.controllers for one in first)), beside)
        yield _may_make([one.mount for one in first if one.controllers & _known()])
    elif second:
        group = second.mount if os.geteuid() == 0 else second.mount / _own_group(own)
        yield _controllers(2, frozenset(_words(group / "cgroup.controllers")), "")
        yield _may_make([group])
    else:
        yield warn(_SUBJECT, f"none is mounted: {_UNLIMITED}", "mount -t cgroup2 cgroup2 /sys/fs/cgroup")


def _controllers(version: int, names: frozenset[str], beside: str) -> Finding:
    found = {_FIRST_VERSIONS.get(name, name) for name in names} & _LIMITS.keys()
    text = f"version {version}{beside}, with {' '.join(sorted(found)) or 'no controller'}"
    if missing := [f"{name} ({_LIMITS[name]})" for name in _LIMITS if name not in found]:
        advice = (
            "enable them: kernel parameters cgroup_enable=... on version 1, Delegate= in the unit on version 2"
            if version == 1 or os.geteuid() != 0
            else "enable them in cgroup.subtree_control of the groups above, or in the kernel"
        )
        return warn(_SUBJECT, f"{text}, without {', '.join(missing)}", advice)
    return ok(_SUBJECT, text)


def _may_make(groups: list[Path]) -> Finding:
    """Whether this user may make groups below all of these; asked, not tried."""
    refused = [group for group in groups if not os.access(group, os.W_OK)]
    if not refused:
        return ok("cgroup delegation", f"groups can be made by user {os.geteuid()}")
    where = ", ".join(map(str, refused))
    advice = (
        "the file system is mounted read-only: run the server outside of the container"
        if os.geteuid() == 0
        else "run the server as a systemd service with Delegate=yes, on a host with cgroup version 2"
    )
    return warn("cgroup delegation", f"user {os.geteuid()} can't make groups in {where}: {_UNLIMITED}", advice)


def _hierarchies(mountinfo: Path) -> Iterator[Hierarchy]:
    """Read them from proc_pid_mountinfo(5); a hierarchy that is mounted twice comes twice."""
    for line in mountinfo.read_text(errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split()[:3]
        mount = Path(before.split()[4])
        if kind == "cgroup":
            yield Hierarchy(1, mount, frozenset(options.split(",")))
        elif kind == "cgroup2":
            yield Hierarchy(2, mount, frozenset(_words(mount / "cgroup.controllers")))


def _own_group(own: Path) -> str:
    """Return the group of this process on version 2, relative to the mount, cgroups(7)."""
    lines = own.read_text().splitlines()
    return next((line[len("0::/") :] for line in lines if line.startswith("0::/")), "")


def _known() -> set[str]:
    return _LIMITS.keys() | _FIRST_VERSIONS.keys()


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
