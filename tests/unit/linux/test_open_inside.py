"""Paths in a tree that may be hostile lead nowhere else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.linux.openat2 import open_inside


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A tree with a file, a directory, and links out of it and inside it."""
    (tmp_path / "tree/in").mkdir(parents=True)
    (tmp_path / "tree/in/file").write_text("inside")
    (tmp_path / "outside").write_text("outside")
    (tmp_path / "tree/out").symlink_to("/etc")
    (tmp_path / "tree/up").symlink_to("../outside")
    (tmp_path / "tree/alias").symlink_to("in")
    fd = os.open(tmp_path / "tree", os.O_PATH)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("path", ["in/file", "/in/file", "../../in/file", "in/../in/./file"])
def test_paths_start_and_stay_in_the_tree(root: int, path: str) -> None:
    """Absolute paths begin at the tree, and going up ends there."""
    fd = open_inside(root, path, os.O_RDONLY)
    assert os.read(fd, 100) == b"inside"
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize("path", ["out", "out/passwd", "up", "alias", "alias/file"])
def test_no_symbolic_link_is_followed(root: int, path: str) -> None:
    """A link anywhere on the way is ELOOP, whether it leads out or not."""
    with pytest.raises(OSError) as caught:
        open_inside(root, path, os.O_PATH)
    assert caught.value.errno == errno.ELOOP


def test_what_is_outside_is_not_there(root: int) -> None:
    """A file beside the tree can't be reached by going up."""
    with pytest.raises(FileNotFoundError, match="openat2"):
        open_inside(root, "../outside", os.O_PATH)
