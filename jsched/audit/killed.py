"""What a trail has of a server that was killed: since when it served, and whose starts it had lines for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from jsched.audit import chain
from jsched.audit.trail import Trail

# As they stand in a line: whatever a caller sends has its quotes escaped.
_START_OF_SERVER = b'"event":"server_start"'
_STOP_OF_SERVER = b'"event":"server_stop"'
_START_OF_JOB = b'"verb":"start"'


class Killed(NamedTuple):
    """A server that has no line of its end: when it began to serve, and the jobs that its start lines name."""

    began: datetime
    jobs: frozenset[str]


def last_killed(trail: Trail) -> Killed | None:
    """Return the last server that has written to a trail, None if it has ended by itself or there was none.

    Reads the trail back to that server's start. Raises OSError.
    """
    jobs: set[str] = set()
    for path in reversed(trail.files()):
        found = _read(path)
        jobs |= found.jobs
        if found.ended:
            return None
        if found.began is not None:
            return Killed(found.began, frozenset(jobs))
    return None


class _Found(NamedTuple):
    """What a file has from its last line on that a server has started or ended; all of it if there is none."""

    began: datetime | None
    ended: bool
    jobs: set[str]


def _read(path: Path) -> _Found:
    found = _Found(None, False, set())
    for line in _lines(path):
        text = chain.read(line)
        if text is None:
            continue
        event = text.fields.get("event")
        if event == "server_start":
            found = _Found(_moment(text.fields.get("time")), False, set())
        elif event == "server_stop":
            found = _Found(None, True, set())
        elif text.fields.get("verb") == "start":
            found.jobs.add(str(text.fields.get("job")))
    return found


def _lines(path: Path) -> Iterator[bytes]:
    """Return the lines that matter: to take all of them apart would take ten times as long."""
    with path.open("rb") as file:
        for line in file:
            if _START_OF_JOB in line or _START_OF_SERVER in line or _STOP_OF_SERVER in line:
                yield line


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
