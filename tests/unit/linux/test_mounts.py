from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from jsched.linux.mounts import device_at, file_system


@pytest.mark.parametrize("path", ["/proc/self", "/", "/dev/null", "/usr/bin"])
def test_the_file_system_is_the_one_that_findmnt_names(path: str) -> None:
    """For paths on different mounts the type is what util-linux finds."""
    found = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", path], capture_output=True, text=True, check=True
    )
    assert file_system(path) == found.stdout.split()[0]


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """No file system is made up for a path that does not exist."""
    with pytest.raises(FileNotFoundError):
        file_system(tmp_path / "missing")


def test_the_device_at_a_path_is_that_of_the_mount_that_is_met(tmp_path: Path) -> None:
    """The last of stacked mounts counts, one that another hides does not, and names are unescaped."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(
        "20 1 8:0 / / rw - ext4 a rw\n"
        "21 20 8:1 / /mnt rw - ext4 b rw\n"
        "22 21 8:2 / /mnt/in rw - ext4 c rw\n"
        "23 21 8:3 / /mnt rw - ext4 d rw\n"
        "24 20 8:4 / /a\\040b rw - ext4 e rw\n"
        "25 20 8:5 / /a\rb\u2028c rw - ext4 f rw\n"
    )
    expected = {
        "/": "8:0",
        "/mntx": "8:0",
        "/mnt": "8:3",
        "/mnt/inner/x": "8:3",
        "/a b/c": "8:4",
        "/a\rb\u2028c": "8:5",
    }
    assert {path: device_at(path, mountinfo) for path in expected} == expected
    mountinfo.write_text("21 20 8:1 / /mnt rw - ext4 b rw\n")
    assert device_at("/mnt", mountinfo) is None


@pytest.mark.parametrize("path", ["/proc/self", "/", "/usr/bin", "/dev/shm"])
def test_the_device_at_a_path_is_the_kernel_s(path: str) -> None:
    """Where a path is there, and no link, the device is what stat(2) says."""
    status = os.stat(os.path.realpath(path))
    assert device_at(os.path.realpath(path)) == f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
