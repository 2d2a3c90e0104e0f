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
# Seconds between two looks at whether the server takes calls; ten a second cost an idle server more than the rest.
_EVERY = 0.5
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

    async def start(self) -> None:
        """Take calls from now on."""
        await self._server.start()
        self._watching = self._tasks.spawn(self._watch())

    async def stop(self, grace: float) -> bool:
        """Stop serving; calls may go on for `grace` seconds. Return whether all connections have ended.

        gRPC waits up to 20 seconds for a client that does not answer its last ping: nobody else has to.
        """
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait((self._watching,))
        stopping = [asyncio.ensure_future(server.stop(grace)) for server in (self._server, *self._old)]
        await asyncio.wait(stopping, timeout=grace + _LAST_SECONDS)
        return all(one.done() for one in stopping)

    async def _watch(self) -> None:
        while True:
            try:
                # True as long as it serves.
                if not await self._server.wait_for_termination(_EVERY):
                    return
            except Exception as error:  # noqa: BLE001 - whatever has ended it, somebody has to serve
                await self._replace(error)

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
