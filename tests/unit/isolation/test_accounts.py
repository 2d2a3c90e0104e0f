"""Who the host's regular users are, however long their directory service takes."""

from __future__ import annotations

import pwd
import sys
from pathlib import Path

import pytest

from jsched.errors import Unavailable
from jsched.isolation import accounts
from jsched.isolation.accounts import regular_homes


def python(directory: Path, script: str) -> str:
    """Make a program that does so in the place of the Python that lists users."""
    program = directory / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_the_regular_users_of_this_host() -> None:
    """Users from 1000 to 60000 are listed, and no others."""
    assert regular_homes() == [one.pw_dir for one in pwd.getpwall() if 1000 <= one.pw_uid <= 60_000]


def test_a_slow_directory_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that takes too long is not waited for: the users in the host's own file are there at once."""
    monkeypatch.setattr(accounts, "_WITHIN", 0.2)
    monkeypatch.setattr(sys, "executable", python(tmp_path, "exec sleep 60"))
    file = tmp_path / "passwd"
    file.write_bytes(
        b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1000:\xff:/data/\xff:/bin/sh\n"
        b"+::::::\nbroken\nnobody:x:65534:65534::/nonexistent:/bin/sh\n"
    )
    assert regular_homes(file) == ["/data/\udcff"]
    assert regular_homes(tmp_path / "nowhere") == []


@pytest.mark.parametrize("script", ["kill -9 $$", "exit 3", "echo 7", "echo '[[1]]'"])
def test_no_answer_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Whoever kills the process that lists users gets no server, and not one that shows their homes."""
    monkeypatch.setattr(sys, "executable", python(tmp_path, script))
    with pytest.raises(Unavailable, match=r"^the host's users could not be listed: ") as caught:
        regular_homes()
    assert "start again" in caught.value.hint
