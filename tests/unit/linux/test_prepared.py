"""Prepared system calls: numbers go from one to the next, and a failure is told by its step."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jsched.linux import prepared_calls
from jsched.linux.prepared import Failed, Prepared, call


def test_a_result_is_the_next_ones_argument(tmp_path: Path) -> None:
    """A directory that one call opens is where the next makes another, and nothing happens before make()."""
    calls = Prepared()
    directory = prepared_calls.open_path(calls, os.fsencode(tmp_path))
    prepared_calls.make_directory(calls, directory, b"made", 0o750)
    assert not (tmp_path / "made").exists()
    calls.make("")
    assert (tmp_path / "made").is_dir()


def test_a_number_that_is_known_later(tmp_path: Path) -> None:
    """A place that was left open has its number when the calls are made."""
    calls = Prepared()
    fd = calls.slot()
    prepared_calls.write(calls, fd, b"told")
    with (tmp_path / "file").open("wb") as file:
        calls.set(fd, file.fileno())
        calls.make("")
    assert (tmp_path / "file").read_bytes() == b"told"


def test_parts_are_made_one_by_one(tmp_path: Path) -> None:
    """Making one part makes nothing of another, and a part that has no calls is nothing to make."""
    calls = Prepared()
    for name in ("first", "second"):
        calls.part = name
        directory = prepared_calls.open_path(calls, os.fsencode(tmp_path))
        prepared_calls.make_directory(calls, directory, name.encode(), 0o700)
    calls.make("second")
    calls.make("third")
    assert os.listdir(tmp_path) == ["second"]


def test_a_failure_is_told_by_its_step(tmp_path: Path) -> None:
    """The first call that fails ends it, with the name of its step and the errno."""
    calls = Prepared()
    calls.step = "early"
    directory = prepared_calls.open_path(calls, os.fsencode(tmp_path))
    calls.step = "late"
    prepared_calls.make_directory(calls, directory, b"missing/one", 0o700)
    prepared_calls.make_directory(calls, directory, b"after", 0o700)
    with pytest.raises(Failed) as failure:
        calls.make("")
    assert (failure.value.step, failure.value.number) == ("late", errno.ENOENT)
    assert os.listdir(tmp_path) == []


def test_a_failure_that_is_tolerated(tmp_path: Path) -> None:
    """A missing path that may be missing is no failure, another errno is."""
    calls = Prepared()
    root = prepared_calls.open_path(calls, os.fsencode(tmp_path))
    prepared_calls.open_inside(calls, root, b"missing", tolerated=errno.ENOENT)
    calls.make("")
    (tmp_path / "link").symlink_to(tmp_path)
    prepared_calls.open_inside(calls, root, b"link", tolerated=errno.ENOENT)
    with pytest.raises(Failed, match="Too many levels"):
        calls.make("")


def test_a_call_that_is_made_at_once() -> None:
    """call() returns the result, and raises with the step that it was given."""
    getpid = 39 if os.uname().machine == "x86_64" else 172
    assert call("id", getpid) == os.getpid()
    close = 3 if os.uname().machine == "x86_64" else 57
    with pytest.raises(Failed) as failure:
        call("gone", close, -1)
    assert (failure.value.step, failure.value.number) == ("gone", errno.EBADF)
