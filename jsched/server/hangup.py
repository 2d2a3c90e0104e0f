"""SIGHUP: what is read again when an administrator asks for it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

_LOG = logging.getLogger("jsched.server")


class Hangup:
    """Does each of its `actions` after a SIGHUP, one after the other; signals that come meanwhile are one more."""

    def __init__(self) -> None:
        self.actions: list[Callable[[], Awaitable[object] | None]] = []
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Hangup:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        # The handler stays: without one the signal would end the process.
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            for action in self.actions:
                try:
                    doing = action()
                    if doing is not None:
                        await doing
                except Exception:  # noqa: BLE001 - a defect in one must not keep the next SIGHUP from being heard
                    _LOG.exception("what SIGHUP asks for failed")
