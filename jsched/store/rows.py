"""Jobs as rows of the database and back; times are microseconds since the epoch."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from jsched import confinement
from jsched.confinement import NOTHING_ASKED, Confinement, Walls
from jsched.job import Exited, FailedStep, Job, JobSpec, Lost, Outcome, Reason, Signaled, Usage
from jsched.limits import NO_LIMITS, Limits, Unenforced, from_json, to_json
from jsched.state import JobState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_USAGE = tuple(field.name for field in fields(Usage))
_OWN_COLUMNS = ("cpu_user", "cpu_system", "max_rss")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job with what only the engine needs: its place in the order of starts, who watches it, how it was asked for."""

    seq: int
    job: Job
    boot_id: str | None
    monitor_pid: int | None
    monitor_start: int | None
    pid_start: int | None
    slot: int | None = None
    request_id: str | None = None


def to_microseconds(moment: datetime | None) -> int | None:
    """Return microseconds since the epoch."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def from_nanoseconds(moment: int) -> datetime:
    """Return an aware datetime for nanoseconds since the epoch, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=moment // 1000)


def spec_columns(spec: JobSpec) -> dict[str, Any]:
    """Return the columns that say what was asked for."""
    return {
        "name": spec.name,
        "argv": json.dumps(list(spec.argv)),
        "env": json.dumps(dict(spec.env), sort_keys=True),
        "workdir": spec.workdir,
        "labels": json.dumps(dict(spec.labels), sort_keys=True),
        "timeout": spec.timeout,
        "grace": float(spec.grace),
        "limits": json.dumps(to_json(spec.limits), sort_keys=True),
        "confinement": json.dumps(confinement.to_json(spec.confinement), sort_keys=True),
    }


def limits_columns(applied: Limits | None, unenforced: Sequence[Unenforced]) -> dict[str, Any]:
    """Return the columns that say which limits a job really has, and which it lacks."""
    lacking = [[one.limit, one.controller, one.reason] for one in unenforced]
    return {
        "applied": None if applied is None else json.dumps(to_json(applied)),
        "unenforced": json.dumps(lacking) if lacking else None,
    }


def walls_columns(walls: Walls | None) -> dict[str, Any]:
    """Return the column that says how a job is walled in."""
    return {"walls": None if walls is None else json.dumps(confinement.walls_to_json(walls))}


def outcome_columns(outcome: Outcome | None) -> dict[str, Any]:
    """Return the columns that say how a job ended."""
    match outcome:
        case Exited(code):
            return {"exit_code": code}
        case Signaled(signal):
            return {"signal": signal}
        case FailedStep(step, errno):
            return {"failed_step": step, "errno": errno}
        case Lost() | None:
            return {}


def usage_columns(usage: Usage | None) -> dict[str, Any]:
    """Return the columns that say what a job used."""
    if usage is None:
        return {}
    known = {name: value for name in _USAGE if (value := getattr(usage, name)) is not None}
    columns = {name: known.pop(name, None) for name in _OWN_COLUMNS}
    return {**columns, "usage": json.dumps(known)}


def to_record(row: sqlite3.Row) -> JobRecord:
    """Return the job that a row of `jobs` describes."""
    state = JobState(row["state"])
    job = Job(
        id=row["id"],
        spec=JobSpec(
            argv=json.loads(row["argv"]),
            env=json.loads(row["env"]),
            workdir=row["workdir"],
            name=row["name"],
            labels=json.loads(row["labels"]),
            timeout=row["timeout"],
            grace=row["grace"],
            limits=_limits(row["limits"]),
            confinement=_confinement(row["confinement"]),
        ),
        owner=row["owner"],
        state=state,
        created_at=_moment(row["created_at"]),
        log_path=row["log_path"],
        started_at=None if row["started_at"] is None else _moment(row["started_at"]),
        ended_at=None if row["ended_at"] is None else _moment(row["ended_at"]),
        outcome=_outcome(row, state),
        reason=None if row["reason"] is None else Reason(row["reason"]),
        forced=bool(row["forced"]),
        stopped_by=row["stopped_by"],
        pid=row["pid"],
        usage=_usage(row),
        applied=None if row["applied"] is None else _limits(row["applied"]),
        unenforced=tuple(Unenforced(*one) for one in json.loads(row["unenforced"] or "[]")),
        walls=None if row["walls"] is None else confinement.walls_from_json(json.loads(row["walls"])),
    )
    watched = (row[name] for name in ("boot_id", "monitor_pid", "monitor_start", "pid_start", "slot", "request_id"))
    return JobRecord(row["seq"], job, *watched)


def same_request(row: Mapping[str, Any] | sqlite3.Row, spec: JobSpec) -> bool:
    """Tell whether a row was made from this spec."""
    return all(row[column] == value for column, value in spec_columns(spec).items())


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _outcome(row: sqlite3.Row, state: JobState) -> Outcome | None:
    if not state.ended:
        return None
    if row["exit_code"] is not None:
        return Exited(row["exit_code"])
    if row["signal"] is not None:
        return Signaled(row["signal"])
    if row["failed_step"] is not None:
        return FailedStep(row["failed_step"], row["errno"])
    return Lost()


def _usage(row: sqlite3.Row) -> Usage | None:
    # Before version 3 of the schema there were the columns alone.
    if row["usage"] is None and row["cpu_user"] is None:
        return None
    return Usage(*(row[name] for name in _OWN_COLUMNS), **json.loads(row["usage"] or "{}"))


def _confinement(text: str) -> Confinement:
    return NOTHING_ASKED if text == "{}" else confinement.from_json(json.loads(text))


def _limits(text: str) -> Limits:
    # Most jobs ask for none, and a list has a thousand of them.
    return NO_LIMITS if text == "{}" else from_json(json.loads(text))
