"""The port, and the gRPC server behind it: another one takes its place if it stops taking calls by itself.

grpc.aio does that for good at the first call whose method is not UTF-8, and reads it before
anything of ours is asked: every client with a certificate can do it, whoever it is. The port is
closed then, and calls that run go on; so another server takes the port, and the old one has the
calls that it has until they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import grpc

from jsched.errors import FailedPrecondition
from jsched.tasks import Tasks

_LOG = logging.getLogger("jsched.server")
# Seconds between two looks at whether the server takes calls, should it not have said so; ten a second cost an
# idle server more than the rest.
_EVERY = 0.5
# Where grpc.aio logs that a server takes no more calls, in the same moment.
_SAYS_SO = logging.getLogger("grpc._cython.cygrpc")
_LAST_SECONDS = 1.0

# Makes a server on an address that is not started, and says which port that is.
Make = Callable[[str], tuple[grpc.aio.Server, int]]


class Listener:
    """Serves on `address` with servers that `make` makes; `note(kind, **fields)` is told of each that is made again.

    `make` raises FailedPrecondition if the port can't be had.
    """

    def __init__(self, make: Make, address: str, note: Callable[..., None]) -> None:
        self._make = make
        self._note = note
        self._server, port = make(address)
        self.address = f"{address.rpartition(':')[0]}:{port}"
        self._old: set[grpc.aio.Server] = set()
        self._tasks = Tasks()
        self._watching: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._said = asyncio.Event()

    async def start(self) -> None:
        """Take calls from now on."""
        await self._server.start()
        _SAYS_SO.addFilter(self._hear)
        self._watching = self._tasks.spawn(self._watch())

    async def stop(self, grace: float) -> bool:
        """Stop serving; calls may go on for `grace` seconds. Return whether all connections have ended.

        gRPC waits up to 20 seconds for a client that does not answer its last ping: nobody else has to.
        """
        _SAYS_SO.removeFilter(self._hear)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait((self._watching,))
        stopping = [asyncio.ensure_future(server.stop(grace)) for server in (self._server, *self._old)]
        await asyncio.wait(stopping, timeout=grace + _LAST_SECONDS)
        return all(one.done() for one in stopping)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._said.wait(), _EVERY)
            self._said.clear()
            try:
                # True as long as it serves.
                if not await self._server.wait_for_termination(0):
                    return
            except Exception as error:  # noqa: BLE001 - whatever has ended it, somebody has to serve
                await self._replace(error)

    def _hear(self, record: logging.LogRecord) -> bool:
        """Look at once when something is logged; nothing is kept from the log."""
        if record.levelno >= logging.ERROR:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._said.set)
        return True

    async def _replace(self, error: Exception) -> None:
        self._old.add(self._server)
        self._tasks.spawn(self._outlast(self._server))
        while True:
            try:
                self._server, _ = self._make(self.address)
                break
            except FailedPrecondition as taken:
                _LOG.error("%s; trying again", taken)
                await asyncio.sleep(_EVERY)
        await self._server.start()
        _LOG.error("gRPC took no more calls after one that it can't read, and does again: %s", error)
        self._note("listener_restarted", reason=str(error))

    async def _outlast(self, server: grpc.aio.Server) -> None:
        """Wait until a server that takes no calls has none left, and free it."""
        with contextlib.suppress(Exception):
            await server.wait_for_termination()
        await server.stop(0)
        self._old.discard(server)
