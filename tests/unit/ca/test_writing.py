from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from jsched.ca.writing import locked, put, put_at
from jsched.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from tests.helpers.certs_command import new_set
from tests.helpers.server import BIN


def names(directory: Path) -> set[str]:
    return {str(one.relative_to(directory)) for one in directory.rglob("*")}


def test_modes_are_those_of_the_kind(tmp_path: Path) -> None:
    """Keys are for their owner alone, other files for all that may reach them, new directories for their owner."""
    before = os.umask(0)
    try:
        put(tmp_path, {"a/b/x.key": b"key", "a/x.crt": b"certificate"})
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names(tmp_path)}
    assert modes == {"a": 0o700, "a/b": 0o700, "a/b/x.key": 0o600, "a/x.crt": 0o644}


def test_nothing_is_written_where_something_is(tmp_path: Path) -> None:
    """If one of several files is there, even as a link that leads nowhere, none is written."""
    (tmp_path / "b").symlink_to("nowhere")
    with pytest.raises(AlreadyExists, match="b is in"):
        put(tmp_path, {"a": b"1", "b": b"2"})
    assert names(tmp_path) == {"b"}
    put(tmp_path, {"a": b"1", "b": b"2"}, replace=True)
    assert (tmp_path / "b").read_bytes() == b"2"
    assert not (tmp_path / "nowhere").exists()


def test_what_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A file that can't be made is said to be, and what was on its way is gone."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FailedPrecondition, match="can't be written"):
        put(tmp_path, {"file/x.key": b"secret"})
    assert names(tmp_path) == {"file"}


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    """Half-made keys go with the next run that holds the directory, also of a place elsewhere."""
    for root in (tmp_path / "one", tmp_path / "two"):
        (root / ".making-x").mkdir(parents=True)
        (root / ".making-x" / "0.key").write_text("secret")
    with locked(tmp_path / "one"):
        put_at(tmp_path / "one", tmp_path / "two", {"x.crt": b"1"})
        put_at(tmp_path / "one", tmp_path / "one" / "below", {"x.crt": b"1"})
    assert names(tmp_path) == {"one", "one/below", "one/below/x.crt", "two", "two/x.crt"}


def test_a_directory_that_is_none_can_not_be_held(tmp_path: Path) -> None:
    """What is not there or no directory is named."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "nowhere"):
        with pytest.raises(InvalidArgument, match=path.name), locked(path):
            pass
    assert names(tmp_path) == {"file"}


def test_runs_at_once_lose_nothing(tmp_path: Path) -> None:
    """Commands at the same moment wait for each other: all is issued, and both revocations are in the list."""
    made = new_set(tmp_path / "ca")
    for user in ("alice", "bob"):
        made.ok("client", "--user", user, "--role", "user")
    verbs = [("revoke", "alice"), ("revoke", "bob"), *(("client", f"--user=u{n}", "--role=user") for n in range(3))]
    running = [
        subprocess.Popen([BIN / "jsched", "certs", *words, "--dir", made.root], stdout=subprocess.PIPE)
        for words in verbs
    ]
    for process in running:
        process.communicate(timeout=60)
    assert [process.returncode for process in running] == [0] * len(verbs)
    listed = made.ok("list").out
    assert listed.count("revoked") == 2
    assert all(f"u{n}" in listed for n in range(3))
