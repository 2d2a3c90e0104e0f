"""The end of what has sent nothing for too long."""

from __future__ import annotations

import asyncio

import pytest

from jsched.errors import ResourceExhausted
from jsched.server.idle import IdleLimit
from tests.helpers.calls import run


async def never() -> None:
    """Wait for what does not come."""
    await asyncio.get_running_loop().create_future()


def test_silence_is_ended() -> None:
    """What sends nothing is ended with the limit's name, and its task is not left cancelled."""

    async def main() -> None:
        with pytest.raises(ResourceExhausted, match=r"for 0\.05 seconds, which is stream_idle_timeout") as caught:
            async with IdleLimit(0.05):
                await never()
        assert caught.value.obj == "stream_idle_timeout"
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    run(main())


def test_sending_puts_the_end_off() -> None:
    """As long as something is sent, there is no end; the last thing sent counts."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(ResourceExhausted):
            async with IdleLimit(0.2) as idle:
                for _ in range(10):
                    await asyncio.sleep(0.05)
                    idle.sent()
                last = loop.time()
                await never()
        assert last - began >= 0.5
        assert loop.time() - last >= 0.19

    run(main(), 30)


@pytest.mark.parametrize("seconds", [0, 1000])
def test_what_ends_by_itself_leaves_no_timer(seconds: float) -> None:
    """A result, an error and a cancellation from inside pass as they are, and nothing comes afterwards."""

    async def main() -> None:
        async with IdleLimit(seconds):
            pass
        with pytest.raises(TimeoutError, match="of its own"):
            async with IdleLimit(seconds):
                raise TimeoutError("of its own")

        async def inside() -> None:
            async with IdleLimit(seconds):
                await never()

        task = asyncio.create_task(inside())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    asyncio.run(main())
