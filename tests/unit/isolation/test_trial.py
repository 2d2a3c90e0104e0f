"""Trying walls in another process: what is a refusal, and what is no answer."""

from __future__ import annotations

import errno
import json
import sys
import time
from pathlib import Path

import pytest

from jsched.errors import Unavailable
from jsched.isolation import trial
from jsched.isolation.trial import try_walls_apart
from tests.helpers.walled import make_sandbox, needs_root


class Python:
    """A program in the place of Python's, that does as it is told in each trial; the last goes on."""

    def __init__(self, directory: Path) -> None:
        self._program = directory / "python"
        self._trials = directory / "trials"

    def does(self, *scripts: str) -> None:
        """Do so in the first trial, the second and so on."""
        cases = "".join(f"{number}) {script};;\n" for number, script in enumerate(scripts[:-1], 1))
        count = f"echo >>{self._trials}\ncase $(wc -l <{self._trials}) in\n"
        self._program.write_text(f"#!/bin/sh\n{count}{cases}*) {scripts[-1]};;\nesac\n")
        self._program.chmod(0o755)
        self._trials.write_text("")

    @property
    def path(self) -> str:
        """Where it is."""
        return str(self._program)

    @property
    def trials(self) -> int:
        """How often it was started."""
        return len(self._trials.read_text())


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Python:
    """Whatever tries walls is this program, and nobody waits between trials."""
    python = Python(tmp_path)
    monkeypatch.setattr(sys, "executable", python.path)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return python


def says(*answer: object) -> str:
    return f"echo '{json.dumps(answer or None)}'"


@needs_root
def test_walls_are_tried_apart() -> None:
    """The process that asks has threads, so another one builds; its answer is the step, or nothing."""
    assert try_walls_apart(make_sandbox()) is None
    assert try_walls_apart(make_sandbox(hostname="x" * 65)) == ("hostname", errno.EINVAL)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("kill -9 $$", "the trial was killed, SIGKILL"),
        ("kill -64 $$", "the trial was killed, "),
        ("exit 1", "the trial ended with 1 and said ''"),
        ("echo Traceback >&2; echo MemoryError >&2; exit 1", "the trial ended with 1 and said 'MemoryError'"),
        ("echo 7", "the trial ended with 0 and said ''"),
        (says("clone", errno.EAGAIN), "clone: Resource temporarily unavailable"),
        (says("scratch", errno.ENOMEM), "scratch: Cannot allocate memory"),
        (says("sources", errno.EMFILE), "sources: Too many open files"),
        (says("init", errno.ESRCH), "init: No such process"),
        (says("hide", errno.EACCES), "a directory that is to be hidden from jobs: hide: Permission denied"),
        (says("mounts", errno.ENOSPC), "mounts: No space left on device"),
    ],
)
def test_no_answer(python: Python, does: str, reason: str) -> None:
    """What was not answered is tried a few times, and then an error that says what happened and what to do."""
    python.does(does)
    with pytest.raises(Unavailable) as caught:
        try_walls_apart(make_sandbox())
    assert reason in caught.value.message
    assert (caught.value.obj, "start again" in caught.value.hint) == ("isolation", True)
    assert python.trials == 3


def test_no_answer_in_time(python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that hangs is ended, and is no answer either."""
    monkeypatch.setattr(trial, "_WITHIN", 0.2)
    python.does("exec sleep 60")
    with pytest.raises(Unavailable, match="no answer within"):
        try_walls_apart(make_sandbox())


def test_no_process(python: Python) -> None:
    """Where no process can be started nothing was refused."""
    with pytest.raises(Unavailable, match="no process for it: No such file or directory"):
        try_walls_apart(make_sandbox())


def test_an_answer_after_none(python: Python) -> None:
    """The first answer counts, whatever became of the trials before it."""
    python.does("kill -9 $$", says("clone", errno.EAGAIN), says())
    assert try_walls_apart(make_sandbox()) is None
    python.does("kill -9 $$", says("clone", errno.EPERM))
    assert try_walls_apart(make_sandbox()) == ("clone", errno.EPERM)
    assert python.trials == 2


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EUSERS])
def test_refusals(python: Python, number: int) -> None:
    """What the kernel refuses it would refuse again."""
    python.does(says("clone", number))
    assert try_walls_apart(make_sandbox()) == ("clone", number)
    assert python.trials == 1


def test_a_limit_on_namespaces(python: Python, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of 0 refuses namespaces; one that others have used up refuses nothing, and lasts as long as they do."""
    monkeypatch.setattr(trial, "_LIMITS", tmp_path)
    limit = tmp_path / "max_user_namespaces"
    python.does(says("clone", errno.ENOSPC))
    limit.write_text("0\n")
    assert try_walls_apart(make_sandbox()) == ("clone", errno.ENOSPC)
    limit.write_text("100\n")
    with pytest.raises(Unavailable, match="clone: No space left on device"):
        try_walls_apart(make_sandbox())
