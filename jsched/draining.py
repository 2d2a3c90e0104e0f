"""Going away: whoever waits is told to come back later."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from jsched.errors import Unavailable

T = TypeVar("T")


class Draining:
    """Whether an engine has begun to go away, and for how long what is under way may take; for one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[None] = self._loop.create_future()
        self._until = self._loop.time()

    @property
    def begun(self) -> bool:
        """Whether it is so."""
        return self._begun.done()

    def begin(self, within: float) -> None:
        """Begin to go away, which is to take so many seconds."""
        self._begun.set_result(None)
        self._until = self._loop.time() + within

    @property
    def seconds_left(self) -> float:
        """How many seconds are left of that."""
        return max(0.0, self._until - self._loop.time())

    async def unless_begun(self, future: asyncio.Future[T]) -> T:
        """Return what a future comes to; raises Unavailable if it begins before that."""
        await asyncio.wait((future, self._begun), return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        raise going_away()


def going_away() -> Unavailable:
    """Return the error for whoever is not waited for."""
    return Unavailable("the server is shutting down", hint="try again; jobs run on")
