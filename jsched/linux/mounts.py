"""Which file system a path lies on, as /proc/self/mountinfo tells, proc_pid_mountinfo(5)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

MOUNTINFO = Path("/proc/self/mountinfo")

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
    with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as lines:
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


class _Mount(NamedTuple):
    id: str
    parent: str
    device: str
    point: str


def device_at(path: str, mountinfo: Path = MOUNTINFO) -> str | None:
    """Return the device, MAJ:MIN, of the file system that a path lies on or would lie on, None if there is none.

    `path` is absolute, without "." and ".."; it is compared with the mount points and not looked at,
    so a symbolic link on it is taken for what else it could be, a directory. Raises OSError.
    """
    mounts = [_parse(line) for line in mountinfo.read_text("utf-8", "surrogateescape").splitlines()]
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


def _parse(line: str) -> _Mount:
    number, parent, device, _, point = line.split(" ")[:5]
    return _Mount(number, parent, device, _OCTAL.sub(lambda match: chr(int(match[1], 8)), point))
