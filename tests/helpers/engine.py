"""An engine in the test's own process, which leaves no jobs behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jsched.config import Config
from jsched.engine import Engine
from jsched.job import JobFilter
from jsched.state import LIVE_STATES


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Engine]:
    """An engine whose jobs are ended with it."""
    async with Engine(config) as engine:
        try:
            yield engine
        finally:
            for job in (await engine.list(JobFilter(states=LIVE_STATES))).jobs:
                await engine.stop(job.id, grace=0)
