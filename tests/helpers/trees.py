"""What a tree of files looks like, so that two can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Return each path below `root` with its type, mode, owner, content and inode's time of change."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, directories, files in os.walk(root):
        for name in ["", *directories, *files] if directory == str(root) else [*directories, *files]:
            path = Path(directory, name)
            status = path.lstat()
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            name = str(path.relative_to(root))
            found[name] = (status.st_mode, status.st_uid, status.st_gid, content, status.st_ctime_ns)
    return found


def names(root: Path) -> set[str]:
    """Return the paths of everything below `root`, other than the mount points that every tree gets."""
    return set(picture(root)) - {".", "dev", "proc", "sys", "tmp"}
