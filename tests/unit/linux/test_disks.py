"""Disks, on a directory that plays sysfs and on this machine."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from jsched.linux.disks import Disk, find_disk, real_disks, scheduler


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """sda (8:0) with a partition sda1 (8:1), loop0 (7:0), and an empty card reader sdb (8:16)."""
    disks = (("sda", "8:0", "2048", True), ("loop0", "7:0", "64", False), ("sdb", "8:16", "0", True))
    (tmp_path / "block").mkdir()
    (tmp_path / "dev/block").mkdir(parents=True)
    for name, number, size, real in disks:
        home = tmp_path / "devices" / name
        home.mkdir(parents=True)
        (home / "dev").write_text(f"{number}\n")
        (home / "size").write_text(f"{size}\n")
        if real:
            (home / "device").mkdir()
        (tmp_path / "block" / name).symlink_to(home)
        (tmp_path / "dev/block" / number).symlink_to(home)
    part = tmp_path / "devices/sda/sda1"
    part.mkdir()
    (part / "partition").write_text("1\n")
    (tmp_path / "dev/block/8:1").symlink_to(part)
    (tmp_path / "devices/sda/queue").mkdir()
    (tmp_path / "devices/sda/queue/scheduler").write_text("none mq-deadline [bfq]\n")
    return tmp_path


def test_real_disks(sysfs: Path) -> None:
    """Only disks with something behind them are real."""
    assert real_disks(sysfs) == [Disk(8, 0)]


def test_by_number(sysfs: Path) -> None:
    """A number names its disk, and that of a partition the disk that it is on."""
    assert find_disk("8:0", sysfs) == Disk(8, 0)
    assert find_disk("8:1", sysfs) == Disk(8, 0)
    assert str(find_disk("7:0", sysfs)) == "7:0"


@pytest.mark.parametrize(
    ("device", "number"),
    [("8:2", errno.ENODEV), ("/dev/null", errno.ENOTBLK), ("/proc", errno.ENOTBLK), ("/nowhere", errno.ENOENT)],
)
def test_no_disk(sysfs: Path, device: str, number: int) -> None:
    """What is on no disk, or is none, is told apart."""
    with pytest.raises(OSError, match=re.escape(f"{device!r}")) as caught:
        find_disk(device, sysfs)
    assert caught.value.errno == number


def test_scheduler(sysfs: Path) -> None:
    """The scheduler in use is the one in brackets."""
    assert scheduler(Disk(8, 0), sysfs) == "bfq"
    assert scheduler(Disk(7, 0), sysfs) is None


def test_by_path() -> None:
    """A path is on the disk of its file system, and so is the disk's own node."""
    device = os.stat("/usr").st_dev
    if os.major(device) == 0:
        pytest.skip("a root file system on a disk")
    disk = find_disk("/usr")
    assert Path(f"/sys/dev/block/{disk}").exists()
    assert not Path(f"/sys/dev/block/{disk}/partition").exists()
