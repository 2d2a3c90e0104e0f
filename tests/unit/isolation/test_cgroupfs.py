"""The door to cgroup files, on a directory that plays the hierarchy."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from jsched.isolation.cgroupfs import Cgroupfs


@pytest.fixture
def fs(tmp_path: Path) -> Cgroupfs:
    (tmp_path / "root/job/inner").mkdir(parents=True)
    (tmp_path / "root/job/pids.max").write_text("max\n")
    (tmp_path / "secret").write_text("old")
    return Cgroupfs(str(tmp_path / "root"))


@pytest.mark.parametrize("name", ["../secret", "job/../../secret", "/etc/passwd", "..", "job\0"])
def test_nothing_outside(fs: Cgroupfs, name: str) -> None:
    """No name leads out of the root, for reading, writing, making or removing."""
    for use in (
        fs.read,
        fs.make_directory,
        fs.remove_directory,
        fs.directories,
        fs.has,
        lambda name: fs.write(name, ""),
    ):
        with pytest.raises(OSError, match="out of the cgroup hierarchy") as caught:
            use(name)
        assert caught.value.errno == errno.EXDEV


def test_no_link(fs: Cgroupfs, tmp_path: Path) -> None:
    """A symbolic link in place of a file is not followed."""
    (tmp_path / "root/job/memory.max").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links") as caught:
        fs.write("job/memory.max", "1")
    assert caught.value.errno == errno.ELOOP
    assert (tmp_path / "secret").read_text() == "old"


def test_read_and_write(fs: Cgroupfs) -> None:
    """What is written is there to be read."""
    fs.write("job/pids.max", "20")
    assert fs.read("job/pids.max").startswith("20")


def test_read_long(fs: Cgroupfs, tmp_path: Path) -> None:
    """A file is read to its end."""
    text = "".join(f"{number}\n" for number in range(100_000))
    (tmp_path / "root/cgroup.procs").write_text(text)
    assert fs.read("cgroup.procs") == text


def test_write_makes_nothing(fs: Cgroupfs, tmp_path: Path) -> None:
    """A file that the kernel does not have is not made up, and the error tells file and value."""
    with pytest.raises(FileNotFoundError, match="No such file or directory on writing '5'") as caught:
        fs.write("job/memory.max", "5")
    assert caught.value.filename == str(tmp_path / "root/job/memory.max")
    assert not (tmp_path / "root/job/memory.max").exists()
    assert fs.read_if_there("job/memory.max") is None


def test_below(fs: Cgroupfs, tmp_path: Path) -> None:
    """Cgroups below are listed before the one that they are in, and one that is not there is left out."""
    (tmp_path / "root/job/inner/most").mkdir()
    (tmp_path / "root/job/other").mkdir()
    found = fs.below("job")
    assert sorted(found) == ["job", "job/inner", "job/inner/most", "job/other"]
    assert found.index("job/inner/most") < found.index("job/inner") < found.index("job")
    assert fs.below("none") == []
    assert sorted(fs.directories("job")) == ["inner", "other"]
