from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.linux import mounts
from jsched.linux.file_attributes import clear_append_only, is_unsupported, release, set_append_only
from tests.helpers.append_only import is_append_only
from tests.helpers.privileges import needs_capability

_CAP_LINUX_IMMUTABLE = 9
# ext4 is what most hosts have; tmpfs has had the attribute since Linux 6.0.
_DIRECTORIES = {"ext4": ("/var/tmp", os.environ.get("TMPDIR", "/tmp")), "tmpfs": ("/dev/shm",)}

pytestmark = needs_capability(_CAP_LINUX_IMMUTABLE, "CAP_LINUX_IMMUTABLE")


@contextlib.contextmanager
def _file(directory: str) -> Iterator[tuple[int, Path]]:
    """A file that is open for appending, and that is gone afterwards whatever its attributes."""
    path = Path(directory) / f"jsched-test-{os.getpid()}"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, b"first")
        yield fd, path
    finally:
        with contextlib.suppress(OSError):
            clear_append_only(fd)
        os.close(fd)
        path.unlink()


@pytest.fixture(params=_DIRECTORIES)
def file(request: pytest.FixtureRequest) -> Iterator[tuple[int, Path]]:
    """A file on each file system that should have the attribute."""
    kind = request.param
    places = [place for place in _DIRECTORIES[kind] if os.path.isdir(place) and mounts.file_system(place) == kind]
    if not places:
        pytest.skip(f"no {kind} at {' or '.join(_DIRECTORIES[kind])}")
    with _file(places[0]) as found:
        yield found


def test_what_was_written_can_only_be_added_to(file: tuple[int, Path]) -> None:
    """Root itself can neither truncate, overwrite, rename nor remove the file, but goes on appending."""
    fd, path = file
    set_append_only(fd)
    assert is_append_only(fd)
    for attempt in (
        lambda: os.ftruncate(fd, 0),
        lambda: os.truncate(path, 0),
        lambda: os.open(path, os.O_WRONLY),
        lambda: os.open(path, os.O_RDWR | os.O_TRUNC | os.O_APPEND),
        lambda: os.rename(path, f"{path}-2"),
        lambda: os.unlink(path),
    ):
        with pytest.raises(PermissionError):
            attempt()
    os.write(fd, b" second")
    os.pwrite(fd, b" third", 0)
    assert path.read_bytes() == b"first second third"


def test_it_can_be_cleared_by_a_descriptor_that_only_reads(file: tuple[int, Path]) -> None:
    """What only could be added to is an ordinary file again, and doing either twice is nothing."""
    fd, path = file
    set_append_only(fd)
    set_append_only(fd)
    reader = os.open(path, os.O_RDONLY)
    try:
        clear_append_only(reader)
        clear_append_only(reader)
    finally:
        os.close(reader)
    assert not is_append_only(fd)
    os.truncate(path, 0)


def test_other_attributes_are_kept(file: tuple[int, Path]) -> None:
    """lsattr(1) shows the same attributes before and after, but for the `a` in between."""
    fd, path = file

    def attributes() -> str:
        found = subprocess.run(["lsattr", "-d", path], capture_output=True, text=True, check=True, timeout=30)
        return found.stdout.split()[0]

    before = attributes()
    set_append_only(fd)
    assert attributes().replace("a", "-", 1) == before
    clear_append_only(fd)
    assert attributes() == before


def test_a_file_system_without_the_attribute_is_told_apart() -> None:
    """A pipe has no attributes: that is an unsupported file, not a lack of permission."""
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="FS_IOC_GETFLAGS") as caught:
            set_append_only(writer)
        assert caught.value.errno == errno.ENOTTY
        assert is_unsupported(caught.value)
    finally:
        os.close(reader)
        os.close(writer)


def test_without_the_capability_it_is_a_lack_of_permission(file: tuple[int, Path]) -> None:
    """An owner who has not CAP_LINUX_IMMUTABLE gets EPERM, which is not an unsupported file system."""
    fd, _ = file
    program = (
        "import sys\n"
        "from jsched.linux.file_attributes import is_unsupported, set_append_only\n"
        "try: set_append_only(int(sys.argv[1]))\n"
        "except OSError as error: print(error.errno, is_unsupported(error))"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-linux_immutable", "--", sys.executable, "-c", program, str(fd)],
        pass_fds=[fd],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"{errno.EPERM} False\n"


def test_release_by_name(file: tuple[int, Path]) -> None:
    """A file that is known by its name alone can be removed afterwards, and releasing it twice is nothing."""
    fd, path = file
    set_append_only(fd)
    release(path)
    release(str(path))
    assert not is_append_only(fd)
    os.truncate(path, 0)


def test_release_follows_no_link(file: tuple[int, Path]) -> None:
    """A link in the place of a file is not followed to another, which keeps its attribute."""
    fd, path = file
    set_append_only(fd)
    link = path.with_name(f"{path.name}-link")
    link.symlink_to(path)
    try:
        with pytest.raises(OSError, match="symbolic links") as caught:
            release(link)
        assert caught.value.errno == errno.ELOOP
    finally:
        link.unlink()
    assert is_append_only(fd)


def test_release_of_what_has_no_attributes(tmp_path: Path) -> None:
    """A FIFO that nobody writes to neither blocks nor fails; what is not there does."""
    os.mkfifo(tmp_path / "fifo")
    before = os.listdir("/proc/self/fd")
    release(tmp_path / "fifo")
    with pytest.raises(FileNotFoundError):
        release(tmp_path / "missing")
    assert os.listdir("/proc/self/fd") == before
