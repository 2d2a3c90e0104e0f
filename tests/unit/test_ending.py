"""How a job's end is told."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from typing import Any

import pytest

from jsched.ending import HOST_RESTARTED, LOST, from_record
from jsched.isolation.cgroup_plan import CgroupUsage
from jsched.state import TRANSITIONS, Event, JobState
from jsched.store.rows import from_nanoseconds, to_microseconds
from jsched.supervisor import ending, stopping
from jsched.supervisor.record import ExitRecord, RunRecord

STARTED = 1_700_000_000_123_456_789
ENDED = STARTED + 2_500_000_000
NOTHING = ending.Usage()
RUN = RunRecord("job", "boot", 10, 20, STARTED, 30)
BASE = ExitRecord("job", 0, None, None, None, False, False, False, STARTED, ENDED, 0.5, 0.25, 4096)

# What the record says; what happened, why, and by which column the outcome is told.
ENDINGS: dict[str, tuple[dict[str, Any], Event, str | None, dict[str, Any]]] = {
    "success": ({}, Event.ENDED_BY_ITSELF, None, {"exit_code": 0}),
    "failure": ({"exit_code": 255}, Event.ENDED_BY_ITSELF, None, {"exit_code": 255}),
    "signal": ({"exit_code": None, "signal": 11}, Event.KILLED, "signal", {"signal": 11}),
    "stop": ({"exit_code": None, "signal": 15, "stopped": True}, Event.ENDED_BY_STOP, None, {"signal": 15}),
    "stop, own code": ({"exit_code": 3, "stopped": True}, Event.ENDED_BY_STOP, None, {"exit_code": 3}),
    "time limit": ({"exit_code": None, "signal": 15, "timed_out": True}, Event.KILLED, "time limit", {"signal": 15}),
    "time limit, own code": ({"exit_code": 4, "timed_out": True}, Event.KILLED, "time limit", {"exit_code": 4}),
    "no start": (
        {"exit_code": None, "failed_step": "exec", "errno": 2, "started_at_ns": None},
        Event.START_FAILED,
        None,
        {"failed_step": "exec", "errno": 2},
    ),
}
OUTCOMES = ("exit_code", "signal", "failed_step", "errno")


@pytest.mark.parametrize("name", ENDINGS)
def test_what_a_record_says(name: str) -> None:
    """Each kind of end is one event, with its reason and exactly its own outcome."""
    changes, event, reason, outcome = ENDINGS[name]
    told = from_record(BASE._replace(**changes))
    assert told.event is event
    assert told.changes["reason"] == reason
    assert {column: told.changes[column] for column in OUTCOMES if column in told.changes} == outcome
    assert told.changes["ended_at"] == to_microseconds(from_nanoseconds(ENDED))
    assert (told.changes["cpu_user"], told.changes["cpu_system"], told.changes["max_rss"]) == (0.5, 0.25, 4096)


@pytest.mark.parametrize(
    ("changes", "kills", "reason"),
    [
        ({"exit_code": None, "signal": 9}, 1, "out of memory"),
        ({"exit_code": None, "signal": 9}, 0, "signal"),
        ({"exit_code": None, "signal": 9}, None, "signal"),
        ({"exit_code": None, "signal": 15}, 1, "signal"),
        ({"exit_code": None, "signal": 9, "timed_out": True}, 1, "time limit"),
        ({"exit_code": None, "signal": 9, "stopped": True}, 1, None),
        ({"exit_code": 137}, 1, None),
    ],
)
def test_out_of_memory(changes: dict[str, Any], kills: int | None, reason: str | None) -> None:
    """A SIGKILL that the cgroup has counted is the kernel's, any other somebody's."""
    assert from_record(BASE._replace(**changes, used=CgroupUsage(oom_kills=kills))).changes["reason"] == reason


def test_usage_of_a_cgroup() -> None:
    """What the cgroup has counted counts more than what was waited for, and what it has not is from there."""
    changes = from_record(BASE._replace(used=CgroupUsage(cpu_user=7.0, memory_peak=5, oom_kills=0))).changes
    assert (changes["cpu_user"], changes["cpu_system"], changes["max_rss"]) == (7.0, 0.25, 4096)
    assert json.loads(changes["usage"]) == {"memory_peak": 5, "oom_kills": 0}


def test_who_stopped_it() -> None:
    """That somebody asked for a stop is kept only if the stop is what ended the job."""
    assert "stopped_by" not in from_record(BASE._replace(stopped=True)).changes
    assert from_record(BASE).changes["stopped_by"] is None


@pytest.mark.parametrize("forced", [False, True])
def test_force(forced: bool) -> None:
    """Whether SIGKILL was needed is told as it was recorded."""
    assert from_record(BASE._replace(stopped=True, forced=forced)).changes["forced"] == forced


def test_nothing_is_made_up() -> None:
    """What nobody saw has no time, no outcome and no usage."""
    assert LOST.changes == {}
    assert set(HOST_RESTARTED.changes) == {"reason"}
    assert TRANSITIONS[JobState.RUNNING][LOST.event] is JobState.UNKNOWN
    assert TRANSITIONS[JobState.PENDING][HOST_RESTARTED.event] is JobState.TERMINATED


def test_every_end_is_a_state() -> None:
    """Whatever a record says, a job that is pending or running can come to it."""
    for changes, event, _, _ in ENDINGS.values():
        assert from_record(BASE._replace(**changes)).event is event
        for state in (JobState.PENDING, JobState.RUNNING):
            assert TRANSITIONS[state][event].ended


@pytest.mark.parametrize("jump", [timedelta(days=-365), timedelta(0), timedelta(days=365)])
def test_the_duration_is_not_the_wall_clocks(monkeypatch: pytest.MonkeyPatch, jump: timedelta) -> None:
    """A job lasted as long as it lasted, however the wall clock was set meanwhile."""
    now = STARTED + int(jump.total_seconds() * 1e9)
    monkeypatch.setattr(time, "time_ns", lambda: now)
    monkeypatch.setattr(time, "time", lambda: now / 1e9)
    end = ending.from_status(RUN, 0, NOTHING, seconds=2.5, stopped=False, timed_out=False, killed=False)
    assert end.ended_at_ns - STARTED == 2_500_000_000
    assert from_record(end).changes["ended_at"] - from_record(end).changes["started_at"] == 2_500_000


def test_time_limits_are_not_the_wall_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time limit and a grace period pass as seconds do, however the wall clock is set."""
    clock = 1000.0
    monkeypatch.setattr(stopping, "now", lambda: clock)
    monkeypatch.setattr(time, "time", lambda: 1e12)
    monkeypatch.setattr(os, "killpg", lambda pid, number: None)
    limited = stopping.Stopping(2**30, 5.0, 60.0)
    assert limited.next_at == 1060.0
    limited.enforce(lambda: None)
    assert not limited.timed_out
    clock = 1060.0
    limited.enforce(lambda: None)
    assert limited.timed_out
    assert not limited.killed
    assert limited.next_at == 1065.0


def test_a_signal_that_came_too_late() -> None:
    """A command that had ended by itself when SIGKILL came was not forced."""
    end = ending.from_status(RUN, 7 << 8, NOTHING, seconds=1, stopped=True, timed_out=False, killed=True)
    assert (end.exit_code, end.signal, end.forced) == (7, None, False)
    end = ending.from_status(RUN, 9, NOTHING, seconds=1, stopped=True, timed_out=False, killed=True)
    assert (end.exit_code, end.signal, end.forced) == (None, 9, True)
