"""Jobs to print."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from jsched.job import Job, JobSpec
from jsched.state import JobState

BORN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
NOW = BORN + timedelta(seconds=75)
ID = "4f0c81d2-1111-4222-8333-444444444444"


def make_job(*argv: str, spec: dict[str, Any] | None = None, **fields: Any) -> Job:
    """Return a running job, or what `fields` make of it."""
    given = {"state": JobState.RUNNING, "started_at": BORN + timedelta(milliseconds=5), **fields}
    return Job(ID, JobSpec(argv or ["true"], **(spec or {})), "alice", created_at=BORN, log_path="/logs/x.log", **given)
