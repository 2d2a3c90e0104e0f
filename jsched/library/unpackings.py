"""From an archive that has arrived to its tree in its place, one archive at a time."""

from __future__ import annotations

import asyncio
import logging

from jsched.archive.refusal import Limits
from jsched.archive.unpacking import Unpacked, Unpacking
from jsched.config import Config
from jsched.datadir import remove_tree
from jsched.errors import InvalidArgument, JschedError, Unavailable
from jsched.library.partial import Partials
from jsched.library.threads import Threads
from jsched.library.trees import Trees
from jsched.rootfs import Archive

_LOG = logging.getLogger(__name__)
_AT_ONCE = 1


class Unpackings:
    """Takes archives from `partials`, and puts their trees in place in `trees`, within the limits of `config`."""

    def __init__(self, config: Config, partials: Partials, trees: Trees, threads: Threads) -> None:
        self._config = config
        self._partials = partials
        self._trees = trees
        self._threads = threads
        self._running: set[Unpacking] = set()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._draining = False

    def drain(self) -> None:
        """End what is being unpacked with Unavailable; what has arrived is kept."""
        self._draining = True
        for unpacking in self._running:
            unpacking.cancel()

    async def prove(self, archive: Archive, key: str) -> None:
        """Raise what `Partials.open_whole` does unless all of the archive has arrived."""
        try:
            (await self._threads.run(self._partials.open_whole, archive, key)).close()
        except InvalidArgument:
            await self._threads.run(self._partials.forget, key)
            raise

    async def unpack(self, archive: Archive, key: str) -> Unpacked:
        """Unpack the archive that has arrived as the partial of this key, and put its tree in place.

        What is refused leaves nothing behind. Raises what `Partials.open_whole` and `Unpacking.run` do.
        """
        async with self._turn:
            staged = await self._threads.run(self._trees.stage, archive.digest)
            try:
                # One descriptor for looking at it and for unpacking, so that both are of the same bytes.
                with await self._threads.run(self._partials.open_whole, archive, key) as file:
                    unpacked = await self._run(Unpacking(file.fileno(), staged, await self._limits()))
                await self._threads.run(self._trees.keep, staged, archive.digest)
            except BaseException as error:
                await asyncio.shield(self._threads.run(remove_tree, staged))
                # What has arrived is not at fault if the server goes away.
                if isinstance(error, JschedError) and not isinstance(error, Unavailable):
                    await self._threads.run(self._partials.forget, key)
                raise
            return unpacked

    async def _run(self, unpacking: Unpacking) -> Unpacked:
        if self._draining:
            raise Unavailable("the server is shutting down", hint="try again; what was received is kept")
        self._running.add(unpacking)
        try:
            unpacked = await self._threads.run(unpacking.run)
        finally:
            self._running.discard(unpacking)
        if unpacked.missing_walls:
            _LOG.warning("an archive was unpacked without a %s", ", a ".join(unpacked.missing_walls))
        return unpacked

    async def _limits(self) -> Limits:
        room = await self._threads.run(self._trees.room)
        config = self._config
        return Limits(min(config.max_rootfs_size, room), config.max_rootfs_entries, config.rootfs_timeout)
