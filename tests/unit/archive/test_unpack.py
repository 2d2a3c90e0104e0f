from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from jsched.archive.refusal import Budget, Refused
from jsched.archive.section import Section
from jsched.archive.stream import Stream
from jsched.archive.tree import Tree
from jsched.archive.unpack import unpack
from tests.helpers.archives import small
from tests.unit.archive.conftest import LIMITS


def unpack_with_a_failing_link(number: int, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Unpack small() where link(2) fails with this errno."""

    def link(*args: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    tree = Tree(root, own=False)
    try:
        with tempfile.TemporaryFile() as file:
            file.write(small())
            file.flush()
            unpack(Stream(Section(file.fileno(), 0, len(small()))), tree, Budget(LIMITS))
    finally:
        tree.finish()
        os.close(root)


def test_what_the_file_system_cannot_hold_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """More links than the file system allows, or a name too long for it, are the archive's: refused with the member."""
    with pytest.raises(Refused, match=r"member 5 './usr/bin/same': the server's file system can't hold it: Too many"):
        unpack_with_a_failing_link(errno.EMLINK, monkeypatch, tmp_path)


def test_a_failing_disk_is_not_the_archive_s_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any other error of the file system is passed on as it is."""
    with pytest.raises(OSError, match="Input/output error"):
        unpack_with_a_failing_link(errno.EIO, monkeypatch, tmp_path)
