"""Which file system a path lies on, as /proc/self/mountinfo tells."""

from __future__ import annotations

import os
import re

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
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
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
