"""Disks as sysfs shows them: which there are, and on which one a path lies. Source: sysfs(5)."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

_NUMBER = re.compile(r"([0-9]{1,4}):([0-9]{1,7})", re.ASCII)
_SYSFS = Path("/sys")


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


def find_disk(device: str, sysfs: Path = _SYSFS) -> Disk:
    """Return the whole disk of a device node, of MAJ:MIN, or of the file system that a path lies on.

    Raises OSError: ENODEV for a number that no block device has, ENOTBLK for a path on a file
    system that is on no block device, or for a device that is none; and what stat(2) raises.
    """
    if _NUMBER.fullmatch(device):
        return _whole(_parse(device), device, sysfs)
    if not device.startswith("/"):
        raise OSError(errno.ENOENT, "not an absolute path, nor MAJ:MIN", device)
    status = os.stat(device)
    if stat.S_ISCHR(status.st_mode):
        raise OSError(errno.ENOTBLK, os.strerror(errno.ENOTBLK), device)
    number = status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev
    disk = Disk(os.major(number), os.minor(number))
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
