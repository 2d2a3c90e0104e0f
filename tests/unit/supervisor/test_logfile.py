"""The log of a job: made once, with its rights whatever the umask, and only added to while the job runs."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.linux import file_attributes, mounts
from jsched.supervisor import logfile
from tests.helpers.append_only import is_append_only
from tests.helpers.privileges import needs_capability
from tests.helpers.walled import needs_root

# fallocate(2)
_KEEP_SIZE = 1

needs_immutable = needs_capability(9, "CAP_LINUX_IMMUTABLE")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A place for a log, which is an ordinary file again after the test."""
    path = tmp_path / "job.log"
    yield path
    if path.is_file() and not path.is_symlink():
        file_attributes.release(path)


def append_only(log: int) -> bool:
    """Return whether the file has the attribute; skips the test where there is none."""
    try:
        return is_append_only(log)
    except OSError as error:
        pytest.skip(f"append-only attribute ({mounts.file_system(os.readlink(f'/proc/self/fd/{log}'))}: {error})")


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_mode(path: Path, umask: int) -> None:
    """Its owner reads and writes it, its group reads it, others do neither, whatever the umask is."""
    before = os.umask(umask)
    try:
        log = logfile.create(str(path), None)
    finally:
        os.umask(before)
    try:
        assert stat.S_IMODE(os.fstat(log).st_mode) == 0o640
        assert not os.get_inheritable(log)
    finally:
        logfile.finish(log)


@needs_root
def test_group(path: Path) -> None:
    """The log is given to the group that the server's configuration names, and keeps its owner."""
    log = logfile.create(str(path), 4711)
    logfile.finish(log)
    assert (path.stat().st_uid, path.stat().st_gid) == (os.geteuid(), 4711)


def test_there_is_one_already(path: Path) -> None:
    """A file that is there is neither opened nor changed, and neither is what a link leads to."""
    path.write_text("of another job")
    with pytest.raises(FileExistsError):
        logfile.create(str(path), None)
    assert path.read_text() == "of another job"
    path.unlink()
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(FileExistsError):
        logfile.create(str(path), None)
    assert not (path.parent / "elsewhere").exists()


def test_a_directory_that_is_not_there(path: Path) -> None:
    """A log that can't be made is an OSError with its errno."""
    with pytest.raises(FileNotFoundError):
        logfile.create(f"{path}/x", None)


@pytest.mark.parametrize("size", [0, 5])
def test_room_that_nobody_sees_is_given_back(path: Path, size: int) -> None:
    """What a job has had set aside behind the end of its log is free again after it, and what it said is all there."""
    log = logfile.create(str(path), None)
    os.write(log, b"x" * size)
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(log, _KEEP_SIZE, 0, 16 << 20) == -1:
        logfile.finish(log)
        pytest.skip(f"fallocate: {os.strerror(ctypes.get_errno())}")
    assert os.fstat(log).st_blocks * 512 >= 16 << 20
    logfile.finish(log)
    assert path.read_bytes() == b"x" * size
    assert path.stat().st_blocks * 512 < 1 << 20


@needs_immutable
def test_it_can_only_be_added_to_until_it_is_finished(path: Path) -> None:
    """While the job runs nobody rewrites its log, whoever opens it; afterwards the administrator may."""
    log = logfile.create(str(path), None)
    try:
        assert append_only(log)
        os.write(log, b"first ")
        with pytest.raises(PermissionError):
            os.ftruncate(log, 0)
        with pytest.raises(PermissionError):
            os.open(path, os.O_WRONLY)
        with pytest.raises(PermissionError):
            path.unlink()
        os.lseek(log, 0, os.SEEK_SET)
        os.write(log, b"second")
    finally:
        logfile.finish(log)
    assert path.read_bytes() == b"first second"
    path.unlink()


def test_finish_closes() -> None:
    """The descriptor is closed, also that of a file that has no attributes; no log is nothing to finish."""
    reader, writer = os.pipe()
    os.close(reader)
    logfile.finish(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)
    logfile.finish(None)
