"""What is hidden of the host."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jsched.isolation.view import hidden_directories, masked_entries


def test_what_lies_in_something_hidden_needs_no_cover(tmp_path: Path) -> None:
    """Each directory is covered once, at the top; what is private to the job anyway is not."""
    hidden = hidden_directories([Path("/usr/share/doc"), Path("/usr/share"), tmp_path], homes=[Path("/usr/share/x")])
    assert hidden == ("/usr/share",)


def test_a_name_that_begins_alike_is_another_directory() -> None:
    """/opt/a is not below /opt/a-b, nor the other way round."""
    assert hidden_directories([Path("/opt/a-b"), Path("/opt/a")], homes=[]) == ("/opt/a", "/opt/a-b")


def test_homes_are_hidden() -> None:
    """Homes are covered unless something else is said."""
    assert hidden_directories([]) == ("/home", "/root")


def test_symbolic_links_are_resolved(tmp_path: Path) -> None:
    """What is covered is where the directory really is."""
    link = tmp_path / "link"
    link.symlink_to("/usr/lib")
    assert hidden_directories([link], homes=[]) == ("/usr/lib",)


def test_a_directory_that_others_may_not_reach_is_covered_where_they_are_stopped() -> None:
    """Init is nobody on the host, so the cover goes where nobody may enter, and hides as much."""
    with TemporaryDirectory(prefix="jsched-", dir="/srv" if os.access("/srv", os.W_OK) else None) as directory:
        if directory.startswith(("/tmp", "/var/tmp")):
            pytest.skip("no directory to write to outside of /tmp")
        os.chmod(directory, 0o700)
        (Path(directory) / "in/deep").mkdir(parents=True)
        assert hidden_directories([Path(directory) / "in/deep"], homes=[]) == (directory,)
        os.chmod(directory, 0o711)
        assert hidden_directories([Path(directory) / "in/deep"], homes=[]) == (f"{directory}/in/deep",)


def test_the_root_directory_cannot_be_hidden() -> None:
    """A configuration that would hide everything is an error."""
    with pytest.raises(ValueError, match="root directory"):
        hidden_directories([Path("/")])


def test_masked_entries_are_those_that_exist(tmp_path: Path) -> None:
    """Only what this kernel has is masked."""
    (tmp_path / "keys").touch()
    (tmp_path / "meminfo").touch()
    assert masked_entries(tmp_path) == ("keys",)
