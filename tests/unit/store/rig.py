"""A store of its own, and jobs to put there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jsched.errors import (
    JschedError,
)
from jsched.job import Job, JobSpec
from jsched.state import JobState
from jsched.store import Store

BOOT = "11111111-1111-4111-8111-111111111111"


def a_job(argv: tuple[str, ...] = ("true",), *, job_id: str | None = None, owner: str = "alice", **spec: Any) -> Job:
    identity = job_id or str(uuid.uuid4())
    return Job(
        id=identity,
        spec=JobSpec(argv, **spec),
        owner=owner,
        state=JobState.PENDING,
        created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        log_path=f"/logs/{identity}.log",
    )


@asynccontextmanager
async def a_store(path: Path) -> AsyncIterator[Store]:
    failures: list[JschedError] = []
    store = Store(path / "state.db", failures.append)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
    assert failures == []


def run(path: Path, body: Callable[[Store], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), a_store(path) as store:
            await body(store)

    asyncio.run(main())
