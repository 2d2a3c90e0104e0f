"""The end of a stream that could not send anything for too long, because nothing came or nobody read."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from jsched.errors import ResourceExhausted


class IdleLimit:
    """An asynchronous context whose inside is ended if it does not call `sent` for `seconds`; 0 is for ever.

    Raises ResourceExhausted, naming `stream_idle_timeout`, in place of what was going on. It costs
    one timer a stream, however much is sent.
    """

    __slots__ = ("_last", "_loop", "_seconds", "_timeout", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    def sent(self) -> None:
        """Note that something was sent."""
        self._last = self._loop.time()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        if self._seconds:
            self._timer = self._loop.call_later(self._seconds, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError:
            raise ResourceExhausted(
                f"nothing was sent on this stream for {self._seconds:g} seconds, which is stream_idle_timeout",
                obj="stream_idle_timeout",
                hint="open it again at the offset where it was",
            ) from None

    def _look(self) -> None:
        due = self._last + self._seconds
        if due <= self._loop.time():
            self._timeout.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_at(due, self._look)
