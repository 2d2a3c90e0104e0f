"""Disks as sysfs shows them: which there are, and on which one a path lies. Source: sysfs(5)."""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from pathlib import Path
from typing import NamedTuple

from jsched.linux.mounts import MOUNTINFO, device_at
from jsched.linux.openat2 import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, openat2

_NUMBER = re.compile(r"([0-9]{1,4}):([0-9]{1,7})", re.ASCII)
_SYSFS = Path("/sys")
_DEV = "/dev"
_IN_DEV = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS


class Disk(NamedTuple):
    """A block device by its number, stat(2)."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}:{self.minor}"


def real_disks(sysfs: Path = _SYSFS) -> list[Disk]:
    """Return every disk that has hardware, real or virtual, behind it: no loop devices, no compressed memory.

    None where sysfs is not mounted.
    """
    found = []
    for entry in sorted((sysfs / "block").glob("*")):
        if (entry / "device").exists() and (entry / "size").read_text("ascii").strip() != "0":
            found.append(_parse((entry / "dev").read_text("ascii").strip()))
    return found


def find_disk(device: str, sysfs: Path = _SYSFS, mountinfo: str | os.PathLike[str] = MOUNTINFO) -> Disk:
    """Return the whole disk of a device node below /dev, of MAJ:MIN, or of the file system that a path lies on.

    A path is compared with the mount points and not looked at: the answer, and how long it takes, tell
    nothing of the files that there are. So one that is not there lies where it would lie, and no
    symbolic link is followed but those that begin and end in /dev itself. Raises OSError: ENODEV for a
    number that no block device has, ENOTBLK for a path on a file system that is on no block device;
    ValueError for what can't be encoded.
    """
    if _NUMBER.fullmatch(device):
        return _whole(_parse(device), device, sysfs)
    if not device.startswith("/"):
        raise OSError(errno.ENOENT, "not an absolute path, nor MAJ:MIN", device)
    path = "/" + posixpath.normpath(device).lstrip("/")
    disk = _node(path) or _parse(device_at(path, mountinfo) or "0:0")
    if disk.major == 0:
        raise OSError(errno.ENOTBLK, "its file system is on no block device", device)
    return _whole(disk, device, sysfs)


def scheduler(disk: Disk, sysfs: Path = _SYSFS) -> str | None:
    """Return the I/O scheduler that a disk uses, such as bfq; None if it has none that can be told."""
    try:
        text = (sysfs / "dev/block" / str(disk) / "queue/scheduler").read_text("ascii")
    except OSError:
        return None
    active = re.search(r"\[([a-z0-9-]+)\]", text)
    return active[1] if active else None


def _node(path: str) -> Disk | None:
    """Return the block device that a path below /dev is, or leads to without leaving that file system."""
    if not path.startswith(_DEV + "/"):
        return None
    try:
        directory = os.open(_DEV, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = openat2(directory, os.fsencode(path.removeprefix(_DEV + "/")), os.O_PATH, resolve=_IN_DEV)
        finally:
            os.close(directory)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
    finally:
        os.close(fd)
    if not stat.S_ISBLK(status.st_mode):
        return None
    return Disk(os.major(status.st_rdev), os.minor(status.st_rdev))


def _whole(disk: Disk, device: str, sysfs: Path) -> Disk:
    entry = sysfs / "dev/block" / str(disk)
    if not entry.exists():
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), device)
    if not (entry / "partition").exists():
        return disk
    # A partition's directory lies in that of its disk.
    return _parse((entry.resolve().parent / "dev").read_text("ascii").strip())


def _parse(text: str) -> Disk:
    major, _, minor = text.partition(":")
    return Disk(int(major), int(minor))
