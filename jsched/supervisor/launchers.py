"""A launcher that is always there: one that has ended is replaced, and who keeps ending is given a rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from jsched.errors import Unavailable
from jsched.supervisor import failures
from jsched.supervisor.launcher_link import LauncherLink

_SPAWNS_IN_A_ROW = 5
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_REST = 5.0


class Launchers:
    """The launcher of a supervisor, one after the other; used on one event loop.

    `replaced` is called when another is there in the place of one that has ended.
    """

    def __init__(self, replaced: Callable[[], None]) -> None:
        self._replaced = replaced
        self._launcher: LauncherLink | None = None
        self._spawning = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._deaths = 0
        self._rest_until = 0.0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id of the launcher, or None while there is none."""
        return self._launcher.pid if self._launcher is not None else None

    async def alive(self) -> LauncherLink:
        """Return the launcher, a new one if need be; raises Unavailable if none can be had."""
        async with self._spawning:
            if self._closed:
                raise Unavailable("the supervisor is closed")
            if self._launcher is not None and self._launcher.alive:
                return self._launcher
            loop = asyncio.get_running_loop()
            if loop.time() < self._rest_until:
                raise failures.no_launcher("it keeps ending")
            for _ in range(_SPAWNS_IN_A_ROW):
                await asyncio.sleep(self._pause())
                launcher = LauncherLink(self._on_death)
                try:
                    await launcher.open()
                except (OSError, TimeoutError) as error:
                    self._deaths += 1
                    reason = str(error)
                else:
                    if launcher.alive:
                        self._launcher = launcher
                        return launcher
                    self._deaths += 1
                    reason = "it has ended"
            self._rest_until = loop.time() + _REST
            raise failures.no_launcher(reason)

    def works(self) -> None:
        """Take note that a monitor came of it."""
        self._deaths = 0

    async def close(self) -> None:
        """End the launcher; there will be no other."""
        self._closed = True
        async with self._spawning:
            if self._launcher is not None:
                await self._launcher.close()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pause(self) -> float:
        """Return how many seconds to wait before the next launcher: none after the first death in a row."""
        return 0.0 if self._deaths < 2 else min(_FIRST_PAUSE * 2.0 ** min(self._deaths - 2, 16), _LONGEST_PAUSE)

    def _on_death(self, launcher: LauncherLink) -> None:
        if launcher is self._launcher and not self._closed:
            self._deaths += 1
            self._spawn_task(self._replace(launcher))

    async def _replace(self, launcher: LauncherLink) -> None:
        await launcher.reap()
        try:
            await self.alive()
        except Unavailable:
            return
        self._replaced()

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
