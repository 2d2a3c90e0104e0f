"""Counting what there is: jobs by state, what those that run use, who follows them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from jsched.live import LiveJob
from jsched.output.logfile import LogFiles
from jsched.resources import Resources
from jsched.stats import Stats
from jsched.store import Store


class Census:
    """Counts, once at a time for each user: who asks meanwhile is told the same."""

    def __init__(self, store: Store, resources: Resources, logs: LogFiles, live: Mapping[str, LiveJob]) -> None:
        self._store = store
        self._resources = resources
        self._logs = logs
        self._live = live
        self._counting: dict[str | None, asyncio.Task[Stats]] = {}

    async def stats(self, visible_to: str | None) -> Stats:
        """Return what there is, of all jobs or of one user's."""
        counting = self._counting.get(visible_to)
        if counting is None:
            counting = self._counting[visible_to] = asyncio.get_running_loop().create_task(self._count(visible_to))
            counting.add_done_callback(lambda _: self._counting.pop(visible_to, None))
        return await asyncio.shield(counting)

    async def _count(self, visible_to: str | None) -> Stats:
        jobs = await self._store.count(visible_to)
        running = [live.id for live in self._live.values() if live.run and visible_to in (None, live.owner)]
        load = await asyncio.to_thread(self._resources.load, running)
        return Stats(jobs, load, self._logs.followers(visible_to), owner=visible_to)
