from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import grpc
import pytest

from jsched.errors import InvalidArgument, ResourceExhausted
from jsched.server.receiving import Receiving
from jsched.wire_config import WireConfig

LIMITS = WireConfig(max_requests_per_user=2, max_streams_per_connection=2, request_timeout=600)


class Call:
    """A call whose messages come when the test says so."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self.asked = 0

    def send(self, *messages: Any) -> None:
        """Have these messages come."""
        for message in messages:
            self._messages.put_nowait(message)

    async def read(self) -> Any:
        """Return the next message, as a context of grpc.aio does."""
        self.asked += 1
        return await self._messages.get()


def begin(receiving: Receiving, call: Call, who: str = "user alice") -> asyncio.Task[Any]:
    """Take a call's request in, in a task of its own."""
    return asyncio.ensure_future(receiving.one(who, cast("Any", call)))


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def on_a_loop(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


def test_a_few_at_a_time() -> None:
    """Of one caller's requests only a few are asked for at once, the next when one is there; others' do not wait."""

    async def test() -> None:
        receiving = Receiving(LIMITS)
        calls = [Call() for _ in range(4)]
        tasks = [begin(receiving, call) for call in calls]
        other = Call()
        others = begin(receiving, other, "user bob")
        await settle()
        assert [call.asked for call in (*calls, other)] == [1, 1, 0, 0, 1]
        calls[1].send("second")
        assert await tasks[1] == "second"
        tasks[0].cancel()
        await settle()
        assert [call.asked for call in calls] == [1, 1, 1, 1]
        for call in (*calls[2:], other):
            call.send("done")
        assert await asyncio.gather(*tasks[2:], others) == ["done"] * 3

    on_a_loop(test())


def test_far_too_many() -> None:
    """A caller who has begun more than two connections' worth of requests is told by which limit, until some end."""

    async def test() -> None:
        receiving = Receiving(LIMITS)
        tasks = [begin(receiving, Call()) for _ in range(6)]
        await settle()
        with pytest.raises(ResourceExhausted) as caught:
            await begin(receiving, Call())
        assert caught.value.obj == "max_requests_per_user"
        assert str(caught.value).startswith("user alice: 6 requests have begun and not ended; max_requests_per_user")
        tasks[5].cancel()
        await settle()
        again = begin(receiving, Call())
        await settle()
        assert not again.done()

    on_a_loop(test())


def test_a_request_that_does_not_come() -> None:
    """A request that is not there in time is refused with the limit's name, also if it was not yet asked for."""

    async def test() -> None:
        receiving = Receiving(WireConfig(max_requests_per_user=1, request_timeout=0.05))
        for task in [begin(receiving, Call()) for _ in range(2)]:
            with pytest.raises(ResourceExhausted, match=r"not there after 0.05 seconds, which is request_timeout"):
                await task
        call = Call()
        call.send("in time")
        assert await begin(receiving, call) == "in time"

    on_a_loop(test())


def test_a_call_without_a_request() -> None:
    """A call that ends without a request is an error of its client's."""

    async def test() -> None:
        call = Call()
        call.send(grpc.aio.EOF)
        with pytest.raises(InvalidArgument):
            await begin(Receiving(LIMITS), call)

    on_a_loop(test())


def test_many_messages_of_one_call() -> None:
    """Each message of a stream is waited for in turn, and holds no place while its handler works."""

    async def test() -> None:
        receiving = Receiving(WireConfig(max_requests_per_user=1))
        streams = [Call(), Call()]
        for call in streams:
            call.send("a", "b", grpc.aio.EOF)
        first, second = (receiving.all("uploads of user alice", cast("Any", call)) for call in streams)
        assert [await anext(first), await anext(second), await anext(first)] == ["a", "a", "b"]
        assert [message async for message in second] == ["b"]
        assert [message async for message in first] == []

    on_a_loop(test())
