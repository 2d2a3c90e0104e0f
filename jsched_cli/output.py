"""What is printed: text for people, JSON for programs, bytes as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from jsched.job import Exited, FailedStep, Job, Lost, Outcome, Reason, Signaled
from jsched.state import JobState
from jsched_cli.confinement import walls_json, walls_row
from jsched_cli.limits import limits_json, limits_rows, usage_rows

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def say(text: str) -> None:
    """Write a line about what is going on to stderr; bytes of a job never go there."""
    from jsched.commandline import one_line, report

    report(f"jsched-cli: {one_line(text)}")


def print_text(text: str) -> None:
    """Print text as it is; raises BrokenPipeError if nobody reads it, ResourceExhausted if it can't be written."""
    from jsched.commandline import written

    with written():
        sys.stdout.write(text)


def print_line(text: str) -> None:
    """Print a line of text, with what a terminal could take for more than text escaped; raises as print_text."""
    print_text(f"{visible(text)}\n")


def write_bytes(data: bytes) -> None:
    """Write bytes to stdout, all of them and at once.

    Raises BrokenPipeError if nobody reads them, ResourceExhausted if they can't be kept.
    """
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(1, view) :]
    except BrokenPipeError:
        raise
    except BlockingIOError:
        _write_when_ready(view)
    except OSError as error:
        from jsched.commandline import unwritable

        raise unwritable(error) from None


def _write_when_ready(view: memoryview) -> None:
    """Write to a stdout that someone has made non-blocking."""
    import select

    while view:
        select.select([], [1], [])
        try:
            view = view[os.write(1, view) :]
        except BlockingIOError:
            continue


def print_json(value: Any) -> None:
    """Print a value as JSON; in ASCII, so that a terminal takes nothing in it for a command; raises as print_text."""
    import json

    print_text(json.dumps(value, indent=2) + "\n")


def as_json(job: Job) -> dict[str, Any]:
    """Return a job as JSON has it: names in snake_case, times in RFC 3339, durations in seconds.

    Fields that are not known are null; a field is never left out.
    """
    spec = job.spec
    return {
        "job_id": job.id,
        "name": spec.name,
        "state": job.state.value,
        "argv": list(spec.argv),
        "workdir": spec.workdir,
        "env_names": sorted(spec.env),
        "labels": dict(spec.labels),
        "owner": job.owner,
        "created_at": rfc3339(job.created_at),
        "started_at": rfc3339(job.started_at),
        "ended_at": rfc3339(job.ended_at),
        "timeout": spec.timeout,
        "grace": spec.grace,
        "pid": job.pid,
        "log_path": job.log_path,
        **_outcome_json(job.outcome),
        "reason": job.reason.value.replace(" ", "_") if job.reason else None,
        "forced": job.forced,
        "stopped_by": job.stopped_by,
        "limits": limits_json(spec.limits),
        "applied_limits": limits_json(job.applied),
        "unenforced_limits": [asdict(one) for one in job.unenforced],
        "isolation": walls_json(job.walls),
        "usage": job.usage and asdict(job.usage),
    }


def _outcome_json(outcome: Outcome | None) -> dict[str, Any]:
    exit_code = outcome.code if isinstance(outcome, Exited) else None
    signal = outcome.signal if isinstance(outcome, Signaled) else None
    step = None
    if isinstance(outcome, FailedStep):
        step = {"step": outcome.step, "errno": outcome.errno, "message": os.strerror(outcome.errno)}
    return {"exit_code": exit_code, "signal": signal, "failed_step": step}


def summary(job: Job) -> str:
    """Return a job's state and, if it has ended, how, in a few words."""
    parts = [job.state.value]
    if job.reason is not None and job.reason is not Reason.SIGNAL:
        parts.append(job.reason.value)
    if (text := outcome(job.outcome)) and job.state is not JobState.UNKNOWN:
        parts.append(text)
    return ", ".join(parts)


def outcome(how: Outcome | None) -> str:
    """Return how a command ended, or "" for one that has not."""
    match how:
        case Exited(code):
            return f"exit code {code}"
        case Signaled():
            return how.name
        case FailedStep(step, errno):
            return f"{step}: {os.strerror(errno)}"
        case Lost():
            return "nobody recorded how it ended"
    return ""


def details(job: Job, now: datetime) -> str:
    """Return all that is known of a job, a line each."""
    spec = job.spec
    rows: list[tuple[str, object]] = [
        ("command", command_line(spec.argv)),
        ("name", spec.name),
        ("labels", " ".join(f"{key}={value}" for key, value in sorted(spec.labels.items()))),
        ("workdir", spec.workdir),
        ("environment", " ".join(sorted(spec.env))),
        ("started by", job.owner),
        ("started", _moment(job.started_at or job.created_at, now)),
        ("ended", _moment(job.ended_at, now)),
        ("took", job.duration and short_duration(job.duration)),
        ("outcome", outcome(job.outcome)),
        ("reason", job.reason and job.reason.value),
        ("forced", "SIGKILL was needed" if job.forced else None),
        ("stopped by", job.stopped_by),
        ("time limit", spec.timeout and short_duration(timedelta(seconds=spec.timeout))),
        ("pid", None if job.state.ended else job.pid),
        ("log", job.log_path),
        walls_row(job),
        *limits_rows(job),
        *usage_rows(job.usage),
    ]
    return "".join(f"{name + ':':<13}{visible(str(value))}\n" for name, value in rows if value)


def table(jobs: Sequence[Job], now: datetime, width: int | None) -> str:
    """Return a table of jobs, its lines cut at `width` columns if that is given."""
    rows = [("ID", "NAME", "STATE", "AGE", "TOOK", "COMMAND")]
    for job in jobs:
        end = job.ended_at or (now if job.started_at else None)
        took = short_duration(end - job.started_at) if end and job.started_at else "-"
        age = short_duration(now - job.created_at)
        rows.append((job.id[:8], job.spec.name or "-", summary(job), age, took, command_line(job.spec.argv)))
    cells = [tuple(visible(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    lines = []
    for row in cells:
        line = "  ".join([*(f"{cell:<{size}}" for cell, size in zip(row, widths, strict=False)), row[5]]).rstrip()
        lines.append(line if width is None or len(line) <= width else line[: max(width - 1, 1)] + "…")
    return "\n".join(lines) + "\n"


def command_line(argv: Sequence[str]) -> str:
    """Return an argument vector as it would be typed into a shell."""
    import shlex

    return shlex.join(argv)


def visible(text: str) -> str:
    """Return text with everything escaped that a terminal could take for more than text.

    Control and format characters (direction marks among them), line separators and lone
    surrogates are written as in Python's string literals, and so is what stdout's encoding lacks.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def short_duration(length: timedelta) -> str:
    """Return a duration in its two largest units, or in milliseconds."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    left = int(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return "".join(part for part in parts[:2] if part[0] != "0")


def now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def _moment(moment: datetime | None, now: datetime) -> str | None:
    if moment is None:
        return None
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %z} ({short_duration(now - moment)} ago)"


def rfc3339(moment: datetime | None) -> str | None:
    """Return an aware datetime as JSON has it."""
    return None if moment is None else moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
