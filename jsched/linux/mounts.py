"""Which file system a path lies on, as /proc/self/mountinfo tells, proc_pid_mountinfo(5)."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

# Read with newline="\n" alone: the kernel escapes no other line end in a mount point.
MOUNTINFO = "/proc/self/mountinfo"

_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system(path: str | os.PathLike[str]) -> str:
    """Return the type of the file system that `path` lies on, such as ext4, proc_pid_mountinfo(5).

    "unknown" for a device that has no mount in this namespace. Raises OSError if there is no
    such path.
    """
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    wanted = os.path.realpath(path)
    found, length = "unknown", -1
    with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            fields = before.split()
            where = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
            inside = wanted == where or wanted.startswith(where.rstrip("/") + "/")
            # btrfs gives each subvolume a device number of its own, that no mount has: then
            # the longest mount point decides, and an equal number only breaks ties.
            score = len(where) * 2 + (fields[2] == number)
            if inside and score >= length:
                found, length = after.split()[0], score
    return found


class Mount(NamedTuple):
    """A line of mountinfo: the mount's id and its parent's, its device as MAJ:MIN, its mount point and its type."""

    id: str
    parent: str
    device: str
    point: str
    type: str


def all_mounts(mountinfo: str | os.PathLike[str] = MOUNTINFO) -> list[Mount]:
    """Return the mounts of this process's namespace; raises OSError."""
    with open(mountinfo, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
        return [_parse(line) for line in lines]


def mount_id(fd: int) -> str:
    """Return the id of the mount that a descriptor is in, without a question to its file system; raises OSError.

    Source: proc_pid_fdinfo(5).
    """
    # Not as ASCII: Python would look for that codec's file, and behind walls there may be none.
    with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as lines:
        return next((line.split()[1] for line in lines if line.startswith("mnt_id:")), "")


def device_at(path: str, mountinfo: str | os.PathLike[str] = MOUNTINFO) -> str | None:
    """Return the device, MAJ:MIN, of the file system that a path lies on or would lie on, None if there is none.

    `path` is absolute, without "." and ".."; it is compared with the mount points and not looked at,
    so a symbolic link on it is taken for what else it could be, a directory. Raises OSError.
    """
    mounts = all_mounts(mountinfo)
    known = {mount.id for mount in mounts}
    here = next((one for one in mounts if one.point == "/" and (one.parent not in known or one.parent == one.id)), None)
    while here is not None:
        # The one that is met first on the way down, which may hide others.
        below = [
            one
            for one in mounts
            if one.parent == here.id and one is not here and f"{path}/".startswith(f"{one.point.rstrip('/')}/")
        ]
        if not below:
            return here.device
        here = min(below, key=lambda one: len(one.point))
    return None


def _parse(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    number, parent, device, _, point = before.split(" ")[:5]
    return Mount(number, parent, device, _OCTAL.sub(lambda match: chr(int(match[1], 8)), point), after.split(" ")[0])
