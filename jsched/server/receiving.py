"""Requests on their way in: what of one caller's is not there yet, and how much memory that may take.

gRPC has room for a whole message as soon as a handler asks for it, and 64 KiB before that. So a
caller's requests are asked for a few at a time: who begins many and ends none has not more than
those few in the server's memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc

from jsched.errors import InvalidArgument, ResourceExhausted
from jsched.wire_config import WireConfig

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

# Of one caller, by how many streams a connection may have: those that wait have 64 KiB each.
_WAITING_CONNECTIONS = 2


class Receiving:
    """Takes requests in, of each caller `max_requests_per_user` at a time; for one event loop."""

    def __init__(self, limits: WireConfig) -> None:
        self._at_once = limits.max_requests_per_user
        self._most = self._at_once + _WAITING_CONNECTIONS * limits.max_streams_per_connection
        self._seconds = limits.request_timeout
        self._turns: dict[str, _Turns] = {}

    async def one(self, who: str, context: Context) -> Any:
        """Return a call's one request.

        Raises ResourceExhausted, naming the limit, if it is not there in time or the caller has begun far too many
        others, InvalidArgument if the client has sent none.
        """
        message = await self._next(who, context)
        if message is grpc.aio.EOF:
            raise InvalidArgument("the call has no request")
        return message

    async def all(self, who: str, context: Context) -> AsyncIterator[Any]:
        """Yield a call's many requests, each of which is taken in as `one` is."""
        while (message := await self._next(who, context)) is not grpc.aio.EOF:
            yield message

    async def _next(self, who: str, context: Context) -> Any:
        turns = self._turns.get(who)
        if turns is None:
            turns = self._turns[who] = _Turns(self._at_once)
        if turns.taken >= self._most:
            raise ResourceExhausted(
                f"{who}: {turns.taken} requests have begun and not ended; max_requests_per_user, which is "
                f"{self._at_once}, are taken in at a time",
                obj="max_requests_per_user",
                hint="end some of them first",
            )
        turns.taken += 1
        try:
            async with asyncio.timeout(self._seconds or None), turns.semaphore:
                return await context.read()
        except TimeoutError:
            raise ResourceExhausted(
                f"the request was not there after {self._seconds:g} seconds, which is request_timeout",
                obj="request_timeout",
            ) from None
        finally:
            turns.taken -= 1
            if not turns.taken:
                del self._turns[who]


class _Turns:
    """The requests of one caller that are not there yet: those that are taken in, and those that wait."""

    __slots__ = ("semaphore", "taken")

    def __init__(self, at_once: int) -> None:
        self.semaphore = asyncio.Semaphore(at_once)
        self.taken = 0
