"""What callers are told of the server itself."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jsched.server.stats import ServerStats
from jsched.state import JobState
from jsched.stats import Load, Stats
from jsched.v1 import jobs_pb2 as pb


class Counted:
    """Stands for an engine that has one running job."""

    async def stats(self, *, visible_to: str | None) -> Stats:
        """Return the same for everybody."""
        return Stats({JobState.RUNNING: 1}, Load(1, cpu=1.5, pids=0), 2, owner=visible_to)


def told(visible_to: str | None) -> pb.GetStatsResponse:
    engine: Any = Counted()
    return asyncio.run(ServerStats(engine).get(visible_to))


def test_who_sees_all() -> None:
    """All of it is told; what is not known is not set, and what is nothing is."""
    answer = told(None)
    assert [(count.state, count.jobs) for count in answer.jobs] == [(pb.JOB_STATE_RUNNING, 1)]
    assert (answer.load.jobs, answer.load.cpu.ToMilliseconds(), answer.load.pids) == (1, 1500, 0)
    assert answer.load.HasField("pids")
    assert not answer.load.HasField("memory")
    assert (answer.followers, answer.owner, answer.server_version) == (2, "", version("jsched"))
    assert abs(answer.server_started_at.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds() < 60


def test_who_sees_his_own() -> None:
    """Who sees his own jobs alone is told of the server its version, and not since when it runs."""
    answer = told("alice")
    assert (answer.owner, answer.server_version) == ("alice", version("jsched"))
    assert not answer.HasField("server_started_at")
