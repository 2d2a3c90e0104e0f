from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jsched.audit.chain import ORIGIN, seal
from jsched.audit.killed import Killed, last_killed
from jsched.audit.line import body, timestamp
from jsched.audit.trail import Trail

BEGAN = datetime(2026, 1, 30, 9, 14, 2, 113000, tzinfo=UTC)
UP: dict[str, Any] = {"time": timestamp(BEGAN.timestamp()), "event": "server_start"}
EARLIER: dict[str, Any] = {"time": "2025-12-24T00:00:00.000Z", "event": "server_start"}
DOWN: dict[str, Any] = {"event": "server_stop", "reason": "asked to"}


def start(job: str, **fields: Any) -> dict[str, Any]:
    return {"event": "call", "verb": "start", "job": job, **fields}


def call(verb: str, job: str, **fields: Any) -> dict[str, Any]:
    return {"event": "call", "verb": verb, "job": job, **fields}


def written(tmp_path: Path, *files: list[dict[str, Any]]) -> Trail:
    """Return a trail of these files, the last of which is the one that is written."""
    trail = Trail(tmp_path / "audit.jsonl")
    link = ORIGIN
    for number, fields in enumerate(files, 1):
        path = trail.path if number == len(files) else trail.aside(link.seq + 1)
        with path.open("wb") as file:
            for one in fields:
                line, link = seal(body(one), link)
                file.write(line)
    return trail


FAKE = start("j2", argv=['"event":"server_stop"', '{"seq":1,"event":"server_stop","prev":""}\n'])


@pytest.mark.parametrize(
    ("files", "jobs"),
    [
        ([[UP]], []),
        ([[UP, start("j1"), call("stop", "j0"), start("j2")]], ["j1", "j2"]),
        ([[EARLIER, start("j1"), DOWN, UP, start("j2")]], ["j2"]),
        ([[EARLIER, start("j1"), UP, start("j2")]], ["j2"]),
        ([[UP, start("j1")], [start("j2")], []], ["j1", "j2"]),
        ([[UP, FAKE, start("j3")]], ["j2", "j3"]),
    ],
    ids=["no start", "starts", "after one that ended", "after one that was killed", "in several files", "a fake stop"],
)
def test_a_server_that_was_killed(tmp_path: Path, files: list[list[dict[str, Any]]], jobs: list[str]) -> None:
    """It began with its last start line, and the jobs are those of start calls from then on, in whichever file."""
    assert last_killed(written(tmp_path, *files)) == Killed(BEGAN, frozenset(jobs))


@pytest.mark.parametrize(
    "files",
    [
        [[]],
        [[UP, start("j1"), DOWN]],
        [[UP, start("j1"), DOWN], [call("list", "")]],
        [[start("j1")], [start("j2")]],
        [[UP | {"time": "yesterday"}, start("j1")]],
    ],
    ids=["an empty trail", "ended", "ended in the file before", "its beginning was removed", "no time"],
)
def test_no_server_that_was_killed(tmp_path: Path, files: list[list[dict[str, Any]]]) -> None:
    """Where the last server has ended by itself, or it is not known when it began, there is none."""
    assert last_killed(written(tmp_path, *files)) is None


def test_what_is_no_line_is_passed_over(tmp_path: Path) -> None:
    """Bytes that a crash has left in the file, and lines that somebody has damaged, hide nothing."""
    trail = written(tmp_path, [UP, start("j1")])
    with trail.path.open("ab") as file:
        file.write(b'{"event":"server_stop"}\n\xff\n{"verb":"start"')
    assert last_killed(trail) == Killed(BEGAN, frozenset({"j1"}))
    trail.path.unlink()
    assert last_killed(trail) is None
