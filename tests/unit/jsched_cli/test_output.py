"""What people and programs get to see."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from jsched.errors import ResourceExhausted
from jsched.job import Exited, FailedStep, Lost, Reason, Signaled, Usage
from jsched.state import JobState
from jsched_cli import output
from jsched_cli.output import as_json, details, print_json, short_duration, summary, table, visible, write_bytes
from tests.unit.jsched_cli.jobs import BORN, ID, NOW, make_job

NO_USAGE = dict.fromkeys(field.name for field in fields(Usage))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0ms"),
        (0, "0ms"),
        (0.0421, "42ms"),
        (1, "1.0s"),
        (9.94, "9.9s"),
        (12.9, "12s"),
        (60, "1m"),
        (75, "1m15s"),
        (3600, "1h"),
        (3661, "1h1m"),
        (90061, "1d1h"),
        (400 * 86400, "400d"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    """A duration is short, and never rounded up."""
    assert short_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "running"),
        ({"state": JobState.COMPLETED, "outcome": Exited(3)}, "completed, exit code 3"),
        ({"state": JobState.STOPPED, "outcome": Signaled(15)}, "stopped, SIGTERM"),
        ({"state": JobState.STOPPED, "outcome": Exited(0)}, "stopped, exit code 0"),
        (
            {"state": JobState.TERMINATED, "outcome": Signaled(9), "reason": Reason.TIME_LIMIT},
            "terminated, time limit, SIGKILL",
        ),
        ({"state": JobState.TERMINATED, "outcome": Signaled(11), "reason": Reason.SIGNAL}, "terminated, SIGSEGV"),
        ({"state": JobState.FAILED, "outcome": FailedStep("exec", 2)}, "failed, exec: No such file or directory"),
        ({"state": JobState.UNKNOWN, "outcome": Lost()}, "unknown"),
    ],
)
def test_summaries(fields: dict[str, Any], text: str) -> None:
    """A job's state comes with how it ended, if that is known."""
    assert summary(make_job(**fields)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("red \x1b[31m", "red \\x1b[31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028\u2066", "\\u2028\\u2066"),
        ("ü é 日本", "ü é 日本"),
        ("\x7f\x00", "\\x7f\\x00"),
        ("\udc80", "\\udc80"),
    ],
)
def test_control_characters_are_harmless(text: str, shown: str) -> None:
    """Nothing that a terminal acts on is printed as it is."""
    assert visible(text) == shown


def test_what_the_terminal_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stdout that is ASCII gets escapes in place of an encoding error."""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert visible("ü") == "\\xfc"


def test_a_table() -> None:
    """Columns are as wide as they need to be, and escapes stand for control characters."""
    jobs = [
        make_job("sh", "-c", "echo hi\x1b[0m"),
        make_job(
            "true",
            spec={"name": "nightly"},
            state=JobState.COMPLETED,
            outcome=Exited(0),
            ended_at=BORN + timedelta(seconds=3),
        ),
    ]
    assert table(jobs, NOW, None) == (
        "ID        NAME     STATE                   AGE    TOOK   COMMAND\n"
        "4f0c81d2  -        running                 1m15s  1m14s  sh -c 'echo hi\\x1b[0m'\n"
        "4f0c81d2  nightly  completed, exit code 0  1m15s  3.0s   true\n"
    )


def test_a_table_fits_the_terminal() -> None:
    """On a terminal no line is longer than it is wide, and a cut is marked."""
    lines = table([make_job("echo", "x" * 500)], NOW, 60).splitlines()
    assert [len(line) for line in lines[1:]] == [60]
    assert lines[1].endswith("…")


def test_an_empty_table_is_its_head() -> None:
    """Without jobs there is still a head."""
    assert table([], NOW, 80) == "ID  NAME  STATE  AGE  TOOK  COMMAND\n"


def test_details_leave_out_what_is_not_known() -> None:
    """Each known field has a line, in a fixed order, and no line is empty."""
    job = make_job(
        "make", "all", spec={"labels": {"b": "2", "a": "1"}, "env": {"PATH": ""}, "timeout": 90.0}, pid=7,
        usage=Usage(1.234, 0.5, 3 * 2**20), forced=True, stopped_by="bob",
    )  # fmt: skip
    lines = dict(line.split(":", 1) for line in details(job, NOW).splitlines())
    assert {name: value.strip() for name, value in lines.items() if name != "started"} == {
        "command": "make all",
        "labels": "a=1 b=2",
        "environment": "PATH",
        "started by": "alice",
        "forced": "SIGKILL was needed",
        "stopped by": "bob",
        "time limit": "1m30s",
        "pid": "7",
        "log": "/logs/x.log",
        "cpu": "1.23 s user, 0.50 s system",
        "memory": "3.0 MiB at most, in its largest process",
    }
    assert lines["started"].endswith("(1m14s ago)")


def test_json_is_stable() -> None:
    """Every field is there whatever is known, in snake_case, times in RFC 3339 and UTC."""
    assert as_json(make_job("a", "b")) == {
        "job_id": ID,
        "name": None,
        "state": "running",
        "argv": ["a", "b"],
        "workdir": None,
        "env_names": [],
        "labels": {},
        "owner": "alice",
        "created_at": "2026-01-02T03:04:05.678901Z",
        "started_at": "2026-01-02T03:04:05.683901Z",
        "ended_at": None,
        "timeout": None,
        "grace": 10.0,
        "pid": None,
        "log_path": "/logs/x.log",
        "exit_code": None,
        "signal": None,
        "failed_step": None,
        "reason": None,
        "forced": False,
        "stopped_by": None,
        "limits": {
            "cpus": None,
            "cpu_weight": None,
            "memory": None,
            "swap": None,
            "pids": None,
            "disk_weight": None,
            "disk": [],
        },
        "applied_limits": None,
        "unenforced_limits": [],
        "isolation": None,
        "usage": None,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"outcome": Exited(3)}, {"exit_code": 3, "signal": None}),
        ({"outcome": Signaled(9), "reason": Reason.OUT_OF_MEMORY}, {"signal": 9, "reason": "out_of_memory"}),
        (
            {"outcome": FailedStep("exec", 13)},
            {"failed_step": {"step": "exec", "errno": 13, "message": "Permission denied"}},
        ),
        ({"outcome": Lost()}, {"exit_code": None, "signal": None, "failed_step": None}),
        (
            {"usage": Usage(1.0, 2.0, 3, oom_kills=0)},
            {"usage": {**NO_USAGE, "cpu_user": 1.0, "cpu_system": 2.0, "max_rss": 3, "oom_kills": 0}},
        ),
    ],
)
def test_json_of_endings(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each kind of ending has its own field."""
    assert as_json(make_job(**fields)).items() >= expected.items()


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON on a terminal holds nothing that the terminal could act on."""
    print_json(as_json(make_job("\x1b[31m", "\x9b", "ü")))
    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)["argv"] == ["\x1b[31m", "\x9b", "ü"]


@contextmanager
def piped_stdout() -> Iterator[int]:
    """Put a pipe in the place of descriptor 1, and give its reading end.

    Not a fixture: pytest changes descriptor 1 between a fixture and its test.
    """
    saved = os.dup(1)
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(writer)
    try:
        yield reader
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(reader)


@pytest.mark.parametrize("blocking", [True, False])
def test_all_bytes_are_written(blocking: bool) -> None:
    """More than a pipe holds is written to the last byte, even if someone has made stdout non-blocking."""
    data = os.urandom(1_000_000)
    got = bytearray()

    def read(source: int) -> None:
        while len(got) < len(data):
            got.extend(os.read(source, 65536))

    with piped_stdout() as source:
        os.set_blocking(1, blocking)
        reader = threading.Thread(target=read, args=(source,))
        reader.start()
        write_bytes(data)
        reader.join(20)
    assert bytes(got) == data


def test_a_full_disk_is_named() -> None:
    """A write that can't be done is no defect: the error says what the system said."""
    with piped_stdout():
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, 1)
        os.close(full)
        with pytest.raises(ResourceExhausted, match="can't write to stdout: No space left on device"):
            write_bytes(b"x")


def test_say_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said goes to stderr, with the program's name and without control characters."""
    output.say("lost \x1b[31m")
    assert capsys.readouterr() == ("", "jsched-cli: lost \\x1b[31m\n")
