"""A launch that is under way, and may be ended before it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from jsched.supervisor.link import Link
from jsched.supervisor.wire import LaunchRequest, Report


class Launch:
    """What a supervisor knows of a launch; `ended_by` is the errno(3) that it was ended with, None if it was not."""

    def __init__(self) -> None:
        self.ended_by: int | None = None
        self._taking: asyncio.Task[Link] | None = None
        self._link: Link | None = None

    def end(self, number: int) -> None:
        """Wait for it no longer; what has begun goes on until somebody ends it."""
        if self.ended_by is not None:
            return
        self.ended_by = number
        if self._taking is not None:
            self._taking.cancel()
        if self._link is not None:
            self._link.interrupt()

    async def take(self, taking: Coroutine[Any, Any, Link]) -> Link | None:
        """Return the monitor that `taking` gives, None if the launch was ended meanwhile."""
        self._taking = asyncio.ensure_future(taking)
        try:
            return await self._taking
        except asyncio.CancelledError:
            if self.ended_by is None:
                raise
            return None
        finally:
            self._taking = None

    async def send(self, link: Link, request: LaunchRequest) -> Report | None:
        """Return what a monitor reports; None if it has ended, or the launch was ended meanwhile."""
        if self.ended_by is not None:
            return None
        self._link = link
        try:
            return await link.launch(request)
        finally:
            self._link = None
