"""One monitor as the server sees it: it is sent a job, and tells what became of the launch."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from jsched.supervisor import wire
from jsched.supervisor.wire import LaunchRequest, Report


class Link(asyncio.Protocol):
    """The way to a monitor, which may not be there yet.

    `on_begin` is called when it says that it is there, `on_end` when it is gone, or was let go.
    `began` tells the first of these, `monitor` its pid and start time then, `jobs` how many jobs
    it was sent, `used_at` when it was sent the last one, by the loop's clock. `slot` is that of the
    id range which its jobs have, all of them of `owner`.
    """

    def __init__(self, slot: int, on_begin: Callable[[Link], None], on_end: Callable[[Link], None]) -> None:
        self.slot = slot
        self.owner: str | None = None
        self._on_begin = on_begin
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Report | None] | None = None
        self._received = b""
        self.began = False
        self.monitor: tuple[int, int] | None = None
        self.jobs = 0
        self.used_at = self._loop.time()

    async def open(self, ours: socket.socket) -> None:
        """Speak through one end of a socket pair, whose other end a monitor gets."""
        self._transport, _ = await self._loop.create_unix_connection(lambda: self, sock=ours)

    @property
    def alive(self) -> bool:
        """Whether the monitor is there, or may still come."""
        return self._transport is not None

    async def launch(self, request: LaunchRequest) -> Report | None:
        """Send a job, one at a time, and return the report; None if the monitor ended without one, or on interrupt().

        Raises ValueError for a request that can't be sent.
        """
        message = wire.encode_request(request)
        if self._transport is None:
            return None
        self.jobs += 1
        self.used_at = self._loop.time()
        self._answer = self._loop.create_future()
        self._transport.write(message)
        return await self._answer

    def interrupt(self) -> None:
        """Have a launch that waits for its report return at once."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    def close(self) -> None:
        """Let the monitor go: it ends, after its job if it has one. What becomes of a launch, the files will tell."""
        if self._answer is not None:
            self._answer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take the reports of which the last byte is here."""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            report = wire.decode_report(line)
            if report.monitor is not None:
                self.monitor = report.monitor
                self.began = True
                self._on_begin(self)
            elif self._answer is not None and not self._answer.done():
                self._answer.set_result(report)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the monitor is gone."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        self._on_end(self)
