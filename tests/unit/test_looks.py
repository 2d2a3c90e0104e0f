"""Looks at paths: each ends, or keeps nobody but its own user."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from functools import partial

import pytest

from jsched.errors import FailedPrecondition, JschedError, ResourceExhausted
from jsched.looks import Looks


async def told(look: Awaitable[object]) -> tuple[type[JschedError], str, str]:
    with pytest.raises(JschedError) as raised:
        await look
    return type(raised.value), raised.value.message, raised.value.obj


def test_answers() -> None:
    """What a look returns or raises comes back, also of more looks at once than have a turn."""

    async def test() -> None:
        looks = Looks(at_once=2)
        found = await asyncio.gather(*(looks.look("alice", "", "", partial(int, n)) for n in range(50)))
        assert found == list(range(50))
        for error in (KeyError("gone"), TimeoutError("the server of that file system is away")):

            def fail(error: Exception = error) -> None:
                raise error

            with pytest.raises(type(error)) as raised:
                await looks.look("alice", "", "", fail)
            assert raised.value is error

    asyncio.run(test())


def test_no_answer() -> None:
    """A look without an answer ends in time; its user has no more than so many of them, and nobody else is held up."""
    answer = threading.Event()

    async def test() -> None:
        looks = Looks(at_once=2, within=0.1)

        def look(owner: str) -> Awaitable[object]:
            return looks.look(owner, "bind /mnt", "binds", answer.wait)

        results = await asyncio.gather(*(told(look("alice")) for _ in range(3)))
        assert sorted(results, key=str) == sorted(
            [
                (FailedPrecondition, "bind /mnt: the file system has not answered within 0.1 seconds", "binds"),
                (FailedPrecondition, "bind /mnt: the file system has not answered within 0.1 seconds", "binds"),
                (
                    ResourceExhausted,
                    "bind /mnt: 2 earlier looks at paths of user alice have not been answered",
                    "binds",
                ),
            ],
            key=str,
        )
        assert (await told(look("alice")))[0] is ResourceExhausted
        assert await Looks().look("bob", "", "", lambda: 1) == 1
        assert await looks.look("bob", "", "", lambda: 2) == 2
        # Whoever has other work for a thread has them all.
        assert await asyncio.gather(*(asyncio.to_thread(int, n) for n in range(64))) == list(range(64))
        answer.set()
        async with asyncio.timeout(30):
            while (await asyncio.gather(looks.look("alice", "", "", lambda: 3), return_exceptions=True))[0] != 3:
                pass

    try:
        asyncio.run(test())
    finally:
        answer.set()
