"""GetStats: what the engine counts, and the server itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

from jsched.engine import Engine
from jsched.server.convert import STATES, timestamp
from jsched.server.convert_limits import to_duration
from jsched.stats import Load, Stats
from jsched.v1 import jobs_pb2 as pb


class ServerStats:
    """Counts for callers, from the moment that it is made."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._version = version("jsched")
        self._started_at = datetime.now(UTC)

    async def get(self, visible_to: str | None) -> pb.GetStatsResponse:
        """Return what there is, of all jobs or of one user's; who sees no others is told less of the server."""
        stats = await self._engine.stats(visible_to=visible_to)
        started_at = self._started_at if visible_to is None else None
        return _from_stats(replace(stats, version=self._version, started_at=started_at))


def _from_stats(stats: Stats) -> pb.GetStatsResponse:
    return pb.GetStatsResponse(
        jobs=[pb.JobCount(state=STATES[state], jobs=jobs) for state, jobs in stats.jobs.items()],
        load=_from_load(stats.load),
        followers=stats.followers,
        owner=stats.owner or "",
        server_version=stats.version,
        server_started_at=timestamp(stats.started_at),
    )


def _from_load(load: Load) -> pb.Load:
    return pb.Load(jobs=load.jobs, cpu=to_duration(load.cpu), memory=load.memory, pids=load.pids)
