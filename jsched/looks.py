"""Looks at paths that callers name.

One may lie on a file system that does not answer: nobody else is to wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from jsched.errors import FailedPrecondition, ResourceExhausted

T = TypeVar("T")
# A look that is answered takes less than a thousandth of a second.
_AT_ONCE = 4
_WITHIN = 10.0


class Looks:
    """Looks that block, each on a thread of its own, so many at once for one user, within so many seconds.

    One that the kernel does not answer keeps its thread, and its place, until it does. The threads
    keep no process from ending, as those of an executor do.
    """

    def __init__(self, at_once: int = _AT_ONCE, within: float = _WITHIN) -> None:
        self._at_once = at_once
        self._within = within
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def look(self, owner: str, what: str, obj: str, work: Callable[[], T]) -> T:
        """Return what `work` returns; `what` says in an error what was looked at, `obj` what it is about.

        Raises FailedPrecondition if there is no answer in time, ResourceExhausted if so many looks
        of the user are without one that this had no turn; and what `work` raises.
        """
        turn = self._turns.get(owner)
        if turn is None:
            turn = self._turns[owner] = asyncio.Semaphore(self._at_once)
        begun = False
        try:
            async with asyncio.timeout(self._within) as limit:
                await turn.acquire()
                begun = True
                return await _on_thread(work, turn)
        except TimeoutError:
            if not limit.expired():
                # ETIMEDOUT: an answer, too.
                raise
            if begun:
                message = f"{what}: the file system has not answered within {self._within:g} seconds"
                raise FailedPrecondition(
                    message, obj=obj, hint="an administrator of the host has to look at it"
                ) from None
            raise ResourceExhausted(
                f"{what}: {self._at_once} earlier looks at paths of user {owner} have not been answered",
                obj=obj,
                hint="a file system that was named does not answer; try again later",
            ) from None


def _on_thread(work: Callable[[], T], turn: asyncio.Semaphore) -> asyncio.Future[T]:
    """Begin some work; its turn is over when it is done, whoever still waits for it."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        turn.release()
        if result.done():
            return
        if error is None:
            result.set_result(value)
        else:
            result.set_exception(error)

    def run() -> None:
        value: Any = None
        failure: BaseException | None = None
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 it is for who waits
            failure = error
        try:
            loop.call_soon_threadsafe(settle, value, failure)
        except RuntimeError:
            # The loop is closed: nobody waits.
            return

    threading.Thread(target=run, name="look", daemon=True).start()
    return result
