"""The uploads that are under way, none of which holds up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from jsched.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from jsched.library.partial import Partial, Partials
from jsched.library.threads import Threads
from jsched.rootfs import Archive

T = TypeVar("T")


class Arrivals:
    """Writes what arrives to `partials`, on `threads`; `room` tells how many bytes the disk may still take."""

    def __init__(self, partials: Partials, room: Callable[[], int], threads: Threads) -> None:
        self._partials = partials
        self._room = room
        self._threads = threads
        self._open: dict[str, Partial] = {}

    async def received(self, key: str) -> int:
        """Return how many bytes of an archive have arrived."""
        return await self._threads.run(self._partials.length, key)

    async def receive(self, archive: Archive, key: str, offset: int, chunks: AsyncIterator[bytes]) -> None:
        """Write an archive from `offset` on, to the partial of this key, and return once all of it is there.

        Raises OutOfRange if it does not stand at `offset`, InvalidArgument for more or
        less than was announced, ResourceExhausted if there is no room.
        """
        await self._threads.run(self._partials.forget_old)
        if archive.size - offset > (room := await self._threads.run(self._room)):
            raise ResourceExhausted(f"the server's disk has room for {room} bytes more", obj=archive.name)
        if (earlier := self._open.get(key)) is not None:
            # Most likely of a connection that broke without the server's having been told.
            await earlier.supersede()
        partial = await self._threads.run(self._partials.open, archive, key, offset)
        self._open[key] = partial
        try:
            await self._write_all(partial, archive, key, chunks)
        finally:
            partial.close()
            if self._open.get(key) is partial:
                del self._open[key]

    async def _write_all(self, partial: Partial, archive: Archive, key: str, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            async with partial.writing:
                if partial.superseded:
                    raise FailedPrecondition("another upload of this archive goes on in its place", obj=archive.name)
                if partial.length + len(chunk) > archive.size:
                    await self._threads.run(self._partials.forget, key)
                    raise InvalidArgument(f"more bytes came than the {archive.size} announced", obj=archive.name)
                # Not interrupted, so that the file is not closed while it is written to.
                await _to_its_end(self._threads.run(partial.write, chunk))
        if partial.length < archive.size:
            raise InvalidArgument(
                f"the upload ended after {partial.length} of {archive.size} bytes", obj=archive.name, hint="go on there"
            )


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work that goes on in a thread, even if this task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise
