"""grpc.aio's many kinds of handlers as one: a coroutine that takes a request and a context."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from jsched.errors import InvalidArgument, Unimplemented

Context = grpc.aio.ServicerContext[Any, Any]
# The request (or the requests) and the context in, the response out; a handler with many
# responses writes them through the context and returns None.
Act = Callable[[Any, Context], Awaitable[Any]]
Decode = Callable[[Any], Any]


def unary(handler: Any) -> Act:
    """Return a handler with one response; what is not asynchronous is a method that nobody has written."""
    return handler if inspect.iscoroutinefunction(handler) else not_implemented


def streaming(handler: Any) -> Act:
    """Return a handler with many responses as a coroutine that writes them, in whichever style it is written."""
    if inspect.isasyncgenfunction(handler):
        return functools.partial(_pump, handler)
    return handler if inspect.iscoroutinefunction(handler) else not_implemented


async def _pump(handler: Any, request: Any, context: Context) -> None:
    async with contextlib.aclosing(handler(request, context)) as responses:
        async for response in responses:
            await context.write(response)


async def not_implemented(_: Any, __: Context) -> None:
    """Refuse a method that nobody has written; raises Unimplemented."""
    raise Unimplemented("no such method")


def decoder(decode: Decode | None) -> Decode | None:
    """Return a decoder of requests that raises InvalidArgument whatever is wrong with them."""
    if decode is None:
        return None

    def decoded(content: bytes) -> Any:
        try:
            return decode(content)
        except Exception:  # noqa: BLE001 - whatever a decoder raises, the request is at fault
            raise InvalidArgument("the request is not a message of the right type") from None

    return decoded
