from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.linux.openat2 import RESOLVE_IN_ROOT, openat2


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A descriptor of a directory with a file, a directory and links in it."""
    (tmp_path / "root/d").mkdir(parents=True)
    (tmp_path / "root/d/f").write_text("inside")
    (tmp_path / "root/out").symlink_to(tmp_path)
    (tmp_path / "root/in").symlink_to("d")
    (tmp_path / "root/abs").symlink_to("/d/f")
    (tmp_path / "f").write_text("outside")
    descriptor = os.open(tmp_path / "root", os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_what_is_inside_is_opened(root: int) -> None:
    """A path down from the directory is opened, close-on-exec, and names bytes as they are."""
    descriptor = openat2(root, b"d/f", os.O_RDONLY)
    assert os.read(descriptor, 10) == b"inside"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    os.close(openat2(root, b"\xff", os.O_WRONLY | os.O_CREAT, mode=0o600))
    assert b"\xff" in os.listdir(os.fsencode(f"/proc/self/fd/{root}"))


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (b"../f", errno.EXDEV),
        (b"d/../../f", errno.EXDEV),
        (b"/etc/passwd", errno.EXDEV),
        (b"out/f", errno.ELOOP),
        (b"out", errno.ELOOP),
        (b"in/f", errno.ELOOP),
        (b"abs", errno.ELOOP),
        (b"none", errno.ENOENT),
        (b"d/f/x", errno.ENOTDIR),
    ],
)
def test_what_leads_out_or_through_a_link_is_an_error(root: int, path: bytes, number: int) -> None:
    """No way up, no absolute path and no symbolic link, and the error names the call and the path."""
    with pytest.raises(OSError, match="openat2") as raised:
        openat2(root, path, os.O_RDONLY)
    assert raised.value.errno == number
    assert raised.value.filename == os.fsdecode(path)


def test_links_may_be_resolved_inside(root: int) -> None:
    """With RESOLVE_IN_ROOT an absolute link means a path of the root."""
    descriptor = openat2(root, b"abs", os.O_RDONLY, resolve=RESOLVE_IN_ROOT)
    assert os.read(descriptor, 10) == b"inside"
    os.close(descriptor)
