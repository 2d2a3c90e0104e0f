"""Work that goes on by itself on the event loop, and work that has to succeed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from jsched.errors import Internal, JschedError, ResourceExhausted

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
RETRY_SECONDS = 1.0


class Tasks:
    """The tasks that nobody may be waiting for; a defect in one is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin some work; it is not lost if nobody keeps its task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    async def close(self, within: float) -> None:
        """Wait so many seconds for what is under way, and cancel the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        # Any other error of ours is an answer to somebody's request.
        if error is not None and (isinstance(error, Internal) or not isinstance(error, JschedError)):
            _LOG.error("a defect in the engine", exc_info=error)


async def insist(job_id: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Do what has to be done and can't be refused, again and again while the disk is full or the host short."""
    while True:
        try:
            return await attempt()
        except (ResourceExhausted, OSError) as error:
            _LOG.error("job %s: %s; trying again", job_id, error)
            await asyncio.sleep(RETRY_SECONDS)
