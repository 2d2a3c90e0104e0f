"""Disks, on a directory that plays sysfs and on this machine."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

import pytest

from jsched.linux import disks
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
    [
        ("8:2", errno.ENODEV),
        ("/dev/null", errno.ENOTBLK),
        ("/proc", errno.ENOTBLK),
        ("/proc/nowhere", errno.ENOTBLK),
        ("nowhere", errno.ENOENT),
    ],
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


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    """The root on sda1, /srv on loop0, with /srv/memory in memory."""
    file = tmp_path / "mountinfo"
    file.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "30 22 7:0 / /srv rw - ext4 /dev/loop0 rw\n"
        "31 30 0:40 / /srv/memory rw - tmpfs tmpfs rw\n"
    )
    return file


def test_a_path_that_is_not_there(sysfs: Path, mountinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is on the disk that it would lie on: whether it is there is not looked at, so no answer can tell."""
    looked_at: list[str] = []
    real_stat = os.stat

    def stat_and_tell(path: str | os.PathLike[str], **how: bool) -> os.stat_result:
        looked_at.append(os.fspath(path))
        return real_stat(path, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat_and_tell)
        for path, disk in (("/root", "8:0"), ("/root/nowhere", "8:0"), ("/srv/x/../y", "7:0"), ("//srv", "7:0")):
            assert str(find_disk(path, sysfs, mountinfo)) == disk
    assert all(path.startswith(str(sysfs)) for path in looked_at)
    with pytest.raises(OSError, match="no block device"):
        find_disk("/srv/memory/nowhere", sysfs, mountinfo)


def test_links_are_not_followed(sysfs: Path, mountinfo: Path, tmp_path: Path) -> None:
    """A link lies where it lies: where it leads, and whether anything is there, is not told."""
    (tmp_path / "link").symlink_to("/proc/self")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("link", "loop", "link/self", "nothing"):
        assert str(find_disk(f"{tmp_path}/{name}", sysfs, mountinfo)) == "8:0"


def test_links_that_stay_in_dev(monkeypatch: pytest.MonkeyPatch, sysfs: Path, mountinfo: Path, tmp_path: Path) -> None:
    """A disk may be named by a link of udev's, but by none that leads out of /dev."""
    node = next((path for path in Path("/dev").iterdir() if path.is_block_device()), None)
    if node is None:
        pytest.skip("a block device")
    dev = tmp_path / "nodes"
    dev.mkdir()
    (dev / "absolute").symlink_to(node)
    (dev / "up").symlink_to("../nowhere")
    monkeypatch.setattr(disks, "_DEV", str(dev))
    assert str(find_disk(f"{dev}/absolute", sysfs, mountinfo)) == "8:0"
    assert str(find_disk(f"{dev}/up", sysfs, mountinfo)) == "8:0"
    if os.geteuid() != 0:
        pytest.skip("root")
    (dev / "by-id").mkdir()
    os.mknod(dev / "loop0", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    (dev / "by-id/x").symlink_to("../loop0")
    assert str(find_disk(f"{dev}/by-id/x", sysfs, mountinfo)) == "7:0"
