"""Root file systems by name: upload, list, delete, and hold one while a job starts in it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakValueDictionary

from jsched.archive.unpacking import Unpacked
from jsched.config import Config
from jsched.datadir import remove_tree
from jsched.errors import FailedPrecondition, ResourceExhausted
from jsched.library.arrivals import Arrivals
from jsched.library.catalogue import Catalogue
from jsched.library.partial import Partials, partial_key
from jsched.library.threads import Threads
from jsched.library.trees import Trees
from jsched.library.unpackings import Unpackings
from jsched.rootfs import Archive, Rootfs, check_digest
from jsched.store import RootfsTable
from jsched.tasks import Tasks

# One unpacks, the others write and hash what arrives meanwhile.
_THREADS = 4
_SHOWN_JOBS = 10
_LAST_MOMENT = 1.0


class RootfsLibrary:
    """The root file systems of this host, from `open` to `close`.

    `in_use` tells the ids of the jobs that run in the tree of a digest, all of them or those of a
    user. Jobs run in the tree at `path(digest)`, which nobody may change; who starts one takes it
    with `hold`. With `visible_to`, only that user's root file systems and jobs exist, and a name
    of somebody else's is taken; with `jobs_of`, only that user's jobs. Raises the errors of
    `jsched.errors`.
    """

    def __init__(self, config: Config, table: RootfsTable, in_use: Callable[[str, str | None], Sequence[str]]) -> None:
        self._config = config
        self._table = table
        self._in_use = in_use
        self._trees = Trees(config.rootfs_dir)
        self._partials = Partials(config.rootfs_dir / ".uploads")
        self._threads = Threads(_THREADS, "rootfs")
        self._arrivals = Arrivals(self._partials, self._trees.room, self._threads)
        self._unpackings = Unpackings(config, self._partials, self._trees, self._threads)
        self._catalogue = Catalogue()
        self._held: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks = Tasks()

    async def open(self) -> None:
        """Be ready; what an earlier end left half-made is removed. Raises FailedPrecondition."""
        found = await self._table.all()
        await self._threads.run(self._trees.prepare, {rootfs.digest for rootfs in found})
        await self._threads.run(self._partials.prepare)
        self._catalogue.fill(found)

    def drain(self) -> None:
        """End what is being unpacked with Unavailable; what has arrived is kept."""
        self._unpackings.drain()

    async def close(self) -> None:
        """Let go of everything."""
        self.drain()
        await self._tasks.close(_LAST_MOMENT)
        await self._threads.close()

    def list(self, *, visible_to: str | None = None, jobs_of: str | None = None) -> tuple[Rootfs, ...]:
        """Return all root file systems by name, with the jobs that run in them."""
        return tuple(self._shown(rootfs, jobs_of or visible_to) for rootfs in self._catalogue.all(visible_to))

    def path(self, digest: str) -> Path:
        """Return the directory of a tree."""
        return self._trees.path(digest)

    @contextlib.contextmanager
    def hold(self, name: str, *, visible_to: str | None = None) -> Iterator[Rootfs]:
        """Keep a root file system from being deleted, until `in_use` knows of the job; raises NotFound."""
        rootfs = self._catalogue.get(name, visible_to)
        self._held[rootfs.digest] += 1
        try:
            yield rootfs
        finally:
            self._held[rootfs.digest] -= 1

    async def received(self, digest: str, *, visible_to: str | None = None) -> tuple[int, bool]:
        """Return how many bytes of an archive have arrived, and whether its tree is there, so that none are missing."""
        check_digest(digest)
        if self._catalogue.with_digest(digest, visible_to):
            return 0, True
        return await self._arrivals.received(partial_key(digest, visible_to)), False

    async def upload(
        self,
        archive: Archive,
        offset: int,
        chunks: AsyncIterator[bytes],
        *,
        by: str,
        visible_to: str | None = None,
        jobs_of: str | None = None,
    ) -> Rootfs:
        """Take an archive, or the rest of it from `offset` on, and return the root file system that it is.

        An archive whose tree is there already is not read; if that is not visible, it is: to know an
        archive's digest is not to have the archive. Raises InvalidArgument with the
        reason why an archive is not taken, ResourceExhausted if it is too large,
        AlreadyExists if the name stands for another one.
        """
        self._check_wanted(archive, visible_to)
        if self._catalogue.with_digest(archive.digest, visible_to) is None:
            await self._arrivals.receive(archive, partial_key(archive.digest, visible_to), offset, chunks)
        # Whoever asked may go away and come back: it is finished all the same.
        rootfs = await asyncio.shield(self._tasks.spawn(self._finish(archive, by, visible_to)))
        return self._shown(rootfs, jobs_of or visible_to)

    async def delete(self, name: str, *, visible_to: str | None = None, jobs_of: str | None = None) -> Rootfs:
        """Remove a root file system, and its tree if that has no other name.

        Raises FailedPrecondition with the jobs' ids while one runs in a tree that would go.
        """
        # Cut off in the middle, what is kept and what is known would not agree.
        return await asyncio.shield(self._tasks.spawn(self._delete(name, visible_to, jobs_of or visible_to)))

    async def _delete(self, name: str, visible_to: str | None, jobs_of: str | None) -> Rootfs:
        digest = self._catalogue.get(name, visible_to).digest
        async with self._lock(digest):
            rootfs = self._catalogue.get(name, visible_to)
            self._check_unused(rootfs, jobs_of)
            # Before anything is waited for: from here on no job starts in it.
            self._catalogue.remove(name)
            try:
                await self._table.delete(name)
            except BaseException:
                self._catalogue.add(rootfs)
                raise
            retired = None
            if self._catalogue.with_digest(digest) is None:
                retired = await self._threads.run(self._trees.retire, digest)
        if retired is not None:
            await self._threads.run(remove_tree, retired)
        return rootfs

    async def _finish(self, archive: Archive, by: str, visible_to: str | None) -> Rootfs:
        partial = partial_key(archive.digest, visible_to)
        async with self._lock(archive.digest):
            self._check_wanted(archive, visible_to)
            known = self._catalogue.with_digest(archive.digest)
            if known is None:
                unpacked = await self._unpackings.unpack(archive, partial)
            else:
                if self._catalogue.with_digest(archive.digest, visible_to) is None:
                    await self._unpackings.prove(archive, partial)
                unpacked = Unpacked(known.size, known.entries)
            new = Rootfs(archive.name, archive.digest, unpacked.size, unpacked.entries, by, datetime.now(UTC))
            try:
                self._catalogue.add(await self._table.insert(new))
            except BaseException:
                if known is None:
                    await self._threads.run(remove_tree, await self._threads.run(self._trees.retire, archive.digest))
                raise
            await self._threads.run(self._partials.forget, partial)
            return self._catalogue.get(archive.name)

    def _check_wanted(self, archive: Archive, visible_to: str | None) -> None:
        if archive.size > self._config.max_rootfs_archive:
            raise ResourceExhausted(
                f"the archive has {archive.size} bytes, and {self._config.max_rootfs_archive} are allowed",
                obj=archive.name,
            )
        self._catalogue.check_free(archive, visible_to)

    def _check_unused(self, rootfs: Rootfs, jobs_of: str | None) -> None:
        if self._catalogue.has_other_names(rootfs):
            # The tree stays, and who runs in it, under whichever name, does not notice.
            return
        if self._in_use(rootfs.digest, None):
            users = self._in_use(rootfs.digest, jobs_of)
            raise FailedPrecondition(
                f"root file system {rootfs.name!r} is used by {_listed(users) if users else 'jobs'}",
                obj=rootfs.name,
                hint="wait for their end, or stop them",
            )
        if self._held[rootfs.digest]:
            raise FailedPrecondition(
                f"a job is being started in root file system {rootfs.name!r}", obj=rootfs.name, hint="try again"
            )

    def _shown(self, rootfs: Rootfs, jobs_of: str | None) -> Rootfs:
        return replace(rootfs, used_by=tuple(self._in_use(rootfs.digest, jobs_of)))

    def _lock(self, digest: str) -> asyncio.Lock:
        return self._locks.setdefault(digest, asyncio.Lock())


def _listed(job_ids: Sequence[str]) -> str:
    shown = ", ".join(job_ids[:_SHOWN_JOBS])
    more = f" and {len(job_ids) - _SHOWN_JOBS} more" if len(job_ids) > _SHOWN_JOBS else ""
    return f"job{'s' if len(job_ids) > 1 else ''} {shown}{more}"
