from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jsched.linux.mounts import file_system


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
