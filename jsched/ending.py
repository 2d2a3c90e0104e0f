"""How a job's end is told: from an exit record, or from the lack of one, to what the store keeps."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jsched.isolation.cgroup_plan import CgroupUsage
from jsched.job import Exited, FailedStep, Outcome, Reason, Signaled, Usage
from jsched.state import Event
from jsched.store.rows import from_nanoseconds, outcome_columns, to_microseconds, usage_columns
from jsched.supervisor.record import ExitRecord


@dataclass(frozen=True, slots=True)
class Ending:
    """What happened to a job, and the columns that say so."""

    event: Event
    changes: Mapping[str, Any] = field(default_factory=dict)


# No time and no outcome: nobody was there to see them, and they are not to be made up.
LOST = Ending(Event.LOST)
HOST_RESTARTED = Ending(Event.KILLED, {"reason": Reason.HOST_RESTART.value})


def from_record(record: ExitRecord) -> Ending:
    """Return the ending that a monitor has recorded."""
    event, reason = _event(record)
    changes: dict[str, Any] = {
        "ended_at": to_microseconds(from_nanoseconds(record.ended_at_ns)),
        "reason": None if reason is None else reason.value,
        "forced": int(record.forced),
        **outcome_columns(_outcome(record)),
        **usage_columns(_usage(record)),
    }
    if record.started_at_ns is not None:
        changes["started_at"] = to_microseconds(from_nanoseconds(record.started_at_ns))
    if event is not Event.ENDED_BY_STOP:
        changes["stopped_by"] = None
    return Ending(event, changes)


def _event(record: ExitRecord) -> tuple[Event, Reason | None]:
    if record.failed_step is not None:
        return Event.START_FAILED, None
    if record.timed_out:
        return Event.KILLED, Reason.TIME_LIMIT
    if record.stopped:
        return Event.ENDED_BY_STOP, None
    if record.signal is not None:
        return Event.KILLED, _reason(record.signal, record.used)
    return Event.ENDED_BY_ITSELF, None


def _reason(number: int, used: CgroupUsage | None) -> Reason:
    # The kernel's out-of-memory killer sends SIGKILL, as anybody may; only the counter tells them apart.
    out_of_memory = number == signal.SIGKILL and used is not None and used.oom_kills
    return Reason.OUT_OF_MEMORY if out_of_memory else Reason.SIGNAL


def _usage(record: ExitRecord) -> Usage:
    used = record.used
    # A cgroup counts also those that nobody has waited for; getrusage(2) does not.
    known = {name: value for name, value in (used._asdict() if used else {}).items() if value is not None}
    return Usage(**{"cpu_user": record.cpu_user, "cpu_system": record.cpu_system, "max_rss": record.max_rss, **known})


def _outcome(record: ExitRecord) -> Outcome | None:
    if record.failed_step is not None:
        return FailedStep(record.failed_step, record.errno or 0)
    if record.signal is not None:
        return Signaled(record.signal)
    if record.exit_code is not None:
        return Exited(record.exit_code)
    return None
