"""Where cgroup hierarchies are mounted, and where a process is in them. Sources: cgroups(7), proc_pid_mountinfo(5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

MOUNTINFO = Path("/proc/self/mountinfo")
OWN_CGROUP = Path("/proc/self/cgroup")

_OCTAL = re.compile(r"\\([0-7]{3})")
# Options of a v1 mount that are no controllers.
_OPTIONS = frozenset({"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods"})


class CgroupMount(NamedTuple):
    """A mounted hierarchy: `root` is the cgroup, as the kernel names it, that `mount_point` shows.

    `controllers` are those mounted with it in version 1, and () in version 2.
    """

    version: int
    mount_point: str
    root: str
    controllers: tuple[str, ...]


def cgroup_mounts(mountinfo: Path = MOUNTINFO) -> list[CgroupMount]:
    """Return the hierarchies that are mounted in this mount namespace; raises OSError."""
    found = []
    for line in mountinfo.read_text("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        root, mount_point = (_OCTAL.sub(lambda match: chr(int(match[1], 8)), name) for name in before.split()[3:5])
        names = (name for name in options.split(",") if name not in _OPTIONS and "=" not in name)
        version = 2 if kind == "cgroup2" else 1
        found.append(CgroupMount(version, mount_point, root, tuple(names) if version == 1 else ()))
    return found


def own_cgroups(own: Path = OWN_CGROUP) -> dict[str, str]:
    """Return this process's cgroup for each v1 controller, and under "" the one of version 2; raises OSError."""
    found = {}
    for line in own.read_text("utf-8", "surrogateescape").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            found[""] = path
        else:
            found |= dict.fromkeys(filter(None, controllers.split(",")), path)
    return found


def below_mount(mount: CgroupMount, cgroup: str) -> str | None:
    """Return a cgroup's path from the mount point, without a leading slash; None if it is not below it."""
    root = mount.root.rstrip("/")
    if cgroup.startswith("/..") or not (cgroup + "/").startswith(root + "/"):
        return None
    return cgroup[len(root) :].strip("/")
