"""Root file systems by name: upload, list, delete, and hold one while a job starts in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from jsched.archive.refusal import Limits
from jsched.archive.unpacking import Unpacked, Unpacking
from jsched.config import Config
from jsched.datadir import remove_tree
from jsched.errors import FailedPrecondition, JschedError, NotFound, ResourceExhausted, Unavailable
from jsched.library.arrivals import Arrivals
from jsched.library.partial import Partials
from jsched.library.trees import Trees
from jsched.rootfs import Archive, Rootfs, check_digest, check_name, name_taken
from jsched.store import RootfsTable
from jsched.tasks import Tasks

_LOG = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
# One unpacks, the others write and hash what arrives meanwhile.
_THREADS = 4
_AT_ONCE = 1
_SHOWN_JOBS = 10
_LAST_MOMENT = 1.0


class RootfsLibrary:
    """The root file systems of this host, from `open` to `close`.

    `in_use` tells the ids of the jobs that run in the tree of a digest. Jobs run in the tree
    at `path(digest)`, which nobody may change; who starts one takes it with `hold`. Raises
    the errors of `jsched.errors`.
    """

    def __init__(self, config: Config, table: RootfsTable, in_use: Callable[[str], Sequence[str]]) -> None:
        self._config = config
        self._table = table
        self._in_use = in_use
        self._trees = Trees(config.rootfs_dir)
        self._partials = Partials(config.rootfs_dir / ".uploads")
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="rootfs")
        self._arrivals = Arrivals(self._partials, self._trees.room, self._threads)
        self._named: dict[str, Rootfs] = {}
        self._held: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._unpackings: set[Unpacking] = set()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._tasks = Tasks()
        self._draining = False

    async def open(self) -> None:
        """Be ready; what an earlier end left half-made is removed. Raises FailedPrecondition."""
        found = {rootfs.name: rootfs for rootfs in await self._table.all()}
        await self._in_thread(self._trees.prepare, {rootfs.digest for rootfs in found.values()})
        await self._in_thread(self._partials.prepare)
        self._named = found

    def drain(self) -> None:
        """End what is being unpacked with Unavailable; what has arrived is kept."""
        self._draining = True
        for unpacking in self._unpackings:
            unpacking.cancel()

    async def close(self) -> None:
        """Let go of everything."""
        self.drain()
        await self._tasks.close(_LAST_MOMENT)
        await asyncio.to_thread(self._threads.shutdown)

    def list(self) -> tuple[Rootfs, ...]:
        """Return all root file systems by name, with the jobs that run in them."""
        return tuple(self._shown(self._named[name]) for name in sorted(self._named))

    def path(self, digest: str) -> Path:
        """Return the directory of a tree."""
        return self._trees.path(digest)

    @contextlib.contextmanager
    def hold(self, name: str, *, visible_to: str | None = None) -> Iterator[Rootfs]:
        """Keep a root file system from being deleted, until `in_use` knows of the job; raises NotFound."""
        rootfs = self._get(name)
        self._held[rootfs.digest] += 1
        try:
            yield rootfs
        finally:
            self._held[rootfs.digest] -= 1

    async def received(self, digest: str) -> tuple[int, bool]:
        """Return how many bytes of an archive have arrived, and whether its tree is there, so that none are missing."""
        check_digest(digest)
        if self._has_name(digest):
            return 0, True
        return await self._arrivals.received(digest), False

    async def upload(self, archive: Archive, offset: int, chunks: AsyncIterator[bytes], *, by: str) -> Rootfs:
        """Take an archive, or the rest of it from `offset` on, and return the root file system that it is.

        An archive whose tree is there already is not read. Raises InvalidArgument with the
        reason why an archive is not taken, ResourceExhausted if it is too large,
        AlreadyExists if the name stands for another one.
        """
        self._check_wanted(archive)
        if not self._has_name(archive.digest):
            await self._arrivals.receive(archive, offset, chunks)
        # Whoever asked may go away and come back: it is finished all the same.
        return await asyncio.shield(self._tasks.spawn(self._finish(archive, by)))

    async def delete(self, name: str) -> Rootfs:
        """Remove a root file system; raises FailedPrecondition with the jobs' ids while one runs in it."""
        # Cut off in the middle, what is kept and what is known would not agree.
        return await asyncio.shield(self._tasks.spawn(self._delete(name)))

    async def _delete(self, name: str) -> Rootfs:
        digest = self._get(name).digest
        async with self._lock(digest):
            rootfs = self._get(name)
            self._check_unused(rootfs)
            # Before anything is waited for: from here on no job starts in it.
            del self._named[name]
            try:
                await self._table.delete(name)
            except BaseException:
                self._named[name] = rootfs
                raise
            retired = None
            if not self._has_name(digest):
                retired = await self._in_thread(self._trees.retire, digest)
        if retired is not None:
            await self._in_thread(remove_tree, retired)
        return rootfs

    async def _finish(self, archive: Archive, by: str) -> Rootfs:
        async with self._lock(archive.digest):
            self._check_wanted(archive)
            known = next((rootfs for rootfs in self._named.values() if rootfs.digest == archive.digest), None)
            if known is None:
                unpacked = await self._unpack(archive)
            else:
                unpacked = Unpacked(known.size, known.entries)
            new = Rootfs(archive.name, archive.digest, unpacked.size, unpacked.entries, by, datetime.now(UTC))
            try:
                self._named[archive.name] = await self._table.insert(new)
            except BaseException:
                if known is None:
                    await self._in_thread(remove_tree, await self._in_thread(self._trees.retire, archive.digest))
                raise
            await self._in_thread(self._partials.forget, archive.digest)
            return self._shown(self._named[archive.name])

    async def _unpack(self, archive: Archive) -> Unpacked:
        """Unpack an archive that has arrived, and put its tree in place; what is refused leaves nothing behind."""
        async with self._turn:
            staged = await self._in_thread(self._trees.stage, archive.digest)
            try:
                # One descriptor for looking at it and for unpacking, so that both are of the same bytes.
                with await self._in_thread(self._partials.open_whole, archive) as file:
                    unpacked = await self._run(Unpacking(file.fileno(), staged, await self._limits()))
                await self._in_thread(self._trees.keep, staged, archive.digest)
            except BaseException as error:
                await asyncio.shield(self._in_thread(remove_tree, staged))
                # What has arrived is not at fault if the server goes away.
                if isinstance(error, JschedError) and not isinstance(error, Unavailable):
                    await self._in_thread(self._partials.forget, archive.digest)
                raise
            return unpacked

    async def _run(self, unpacking: Unpacking) -> Unpacked:
        if self._draining:
            raise Unavailable("the server is shutting down", hint="try again; what was received is kept")
        self._unpackings.add(unpacking)
        try:
            unpacked = await self._in_thread(unpacking.run)
        finally:
            self._unpackings.discard(unpacking)
        if unpacked.missing_walls:
            _LOG.warning("an archive was unpacked without a %s", ", a ".join(unpacked.missing_walls))
        return unpacked

    async def _limits(self) -> Limits:
        room = await self._in_thread(self._trees.room)
        config = self._config
        return Limits(min(config.max_rootfs_size, room), config.max_rootfs_entries, config.rootfs_timeout)

    def _check_wanted(self, archive: Archive) -> None:
        if archive.size > self._config.max_rootfs_archive:
            raise ResourceExhausted(
                f"the archive has {archive.size} bytes, and {self._config.max_rootfs_archive} are allowed",
                obj=archive.name,
            )
        known = self._named.get(archive.name)
        if known is not None and known.digest != archive.digest:
            raise name_taken(archive.name)

    def _check_unused(self, rootfs: Rootfs) -> None:
        users = self._in_use(rootfs.digest)
        if users:
            raise FailedPrecondition(
                f"root file system {rootfs.name!r} is used by {_listed(users)}",
                obj=rootfs.name,
                hint="wait for their end, or stop them",
            )
        if self._held[rootfs.digest]:
            raise FailedPrecondition(
                f"a job is being started in root file system {rootfs.name!r}", obj=rootfs.name, hint="try again"
            )

    def _get(self, name: str) -> Rootfs:
        check_name(name)
        try:
            return self._named[name]
        except KeyError:
            raise NotFound(f"no root file system {name!r}", obj=name, hint="rootfs list shows them") from None

    def _has_name(self, digest: str) -> bool:
        return any(rootfs.digest == digest for rootfs in self._named.values())

    def _shown(self, rootfs: Rootfs) -> Rootfs:
        return replace(rootfs, used_by=tuple(self._in_use(rootfs.digest)))

    def _lock(self, digest: str) -> asyncio.Lock:
        return self._locks.setdefault(digest, asyncio.Lock())

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))


def _listed(job_ids: Sequence[str]) -> str:
    shown = ", ".join(job_ids[:_SHOWN_JOBS])
    more = f" and {len(job_ids) - _SHOWN_JOBS} more" if len(job_ids) > _SHOWN_JOBS else ""
    return f"job{'s' if len(job_ids) > 1 else ''} {shown}{more}"
