"""Trees that are copied are like the tree they were copied from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jsched.isolation.copying import copy_tree
from tests.helpers.walled import needs_root


def copy(source: Path, target: Path) -> None:
    target.mkdir()
    descriptors = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target)]
    copy_tree(*descriptors)
    for fd in descriptors:
        os.close(fd)


def test_files_directories_and_links(tmp_path: Path) -> None:
    """Content, modes, times and links, hard ones too, are copied; setuid bits and FIFOs are not."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a/b").mkdir(parents=True)
    (source / "a/b/file").write_bytes(b"x" * 3_000_000)
    (source / "a/b/file").chmod(0o4755)
    os.utime(source / "a/b/file", (1, 2))
    os.link(source / "a/b/file", source / "hard")
    (source / "soft").symlink_to("/etc/passwd")
    os.mkfifo(source / "fifo")
    (source / "a").chmod(0o1777)
    copy(source, target)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "a",
        "a/b",
        "a/b/file",
        "hard",
        "soft",
    ]
    assert (target / "a/b/file").read_bytes() == b"x" * 3_000_000
    assert (target / "a/b/file").stat().st_mode & 0o7777 == 0o755
    assert (target / "a/b/file").stat().st_mtime == 2
    assert (target / "hard").samefile(target / "a/b/file")
    assert os.readlink(target / "soft") == "/etc/passwd"
    assert (target / "a").stat().st_mode & 0o7777 == 0o1777


@needs_root
def test_owners(tmp_path: Path) -> None:
    """Owners are copied, of symbolic links too."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "file").touch()
    (source / "link").symlink_to("file")
    for name in ("file", "link"):
        os.chown(source / name, 5, 6, follow_symlinks=False)
    copy(source, target)
    for name in ("file", "link"):
        status = (target / name).lstat()
        assert (status.st_uid, status.st_gid) == (5, 6)


def test_a_target_that_is_not_empty_is_an_error(tmp_path: Path) -> None:
    """Nothing that is there is written over."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "file").write_text("new")
    copy(source, target)
    descriptors = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target)]
    with pytest.raises(FileExistsError):
        copy_tree(*descriptors)
    for fd in descriptors:
        os.close(fd)
