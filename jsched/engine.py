"""The engine: start, stop, get, list, wait, follow and remove jobs, with no network in sight."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from jsched import datadir, spec_fields
from jsched.assembly import open_parts
from jsched.config import Config
from jsched.draining import Draining, going_away
from jsched.errors import DataLoss, FailedPrecondition, InvalidArgument, JschedError, NotFound
from jsched.exec_limits import check_sizes
from jsched.job import Job, JobFilter, JobPage, JobSpec, StopResult
from jsched.output.follower import Follower, open_follower
from jsched.output.piece import Frame
from jsched.stats import Stats
from jsched.terms import SERVERS_OWN, Terms

_DEFAULT_PAGE = 100
_MAX_PAGE = 1000


class Engine:
    """Runs jobs on this host: `async with Engine(config) as engine: ...`.

    One engine at a time works on a data directory. Jobs outlive it: the next engine on the
    same directory finds them, running or ended. A `ref` is a job's id, a unique prefix of
    it of at least 8 digits, or the name of a job: the live one, or the newest that has ended.
    With `visible_to`, only that user's jobs exist: any other is as NotFound as an id that never
    was. Raises the errors of `jsched.errors`.
    FailedPrecondition before it is open and after it was closed.
    `rootfs` is the library of uploaded root file systems.
    `failed` is resolved if the database has failed and the engine can do no more.
    `frame` is for pieces of output that are sent as they are read, by Follower.read_piece.
    """

    def __init__(self, config: Config, *, frame: Frame | None = None) -> None:
        self._config = config
        self._frame = frame
        self._opened = AsyncExitStack()
        self._is_open = False
        self._leaving: set[str] = set()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Take the data directory, find the jobs of the engine before, and be ready.

        Raises FailedPrecondition or InvalidArgument, naming the directory or setting, if it can't, and
        Unavailable if it could not find out which walls the kernel gives, or who the host's users are.
        """
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._opened = stack.pop_all()
        self._is_open = True

    async def _open(self, stack: AsyncExitStack) -> None:
        self.failed: asyncio.Future[JschedError] = asyncio.get_running_loop().create_future()
        self._draining = Draining()
        parts = await open_parts(self._config, stack, self._draining, self._fail, self._frame)
        self.rootfs, self._store, self._logs = parts.rootfs, parts.store, parts.logs
        self._resources, self._lifecycle, self._census = parts.resources, parts.lifecycle, parts.census

    async def close(self) -> None:
        """Let go of everything; running jobs go on. Twice is harmless."""
        if not self._is_open:
            return
        self.drain()
        self._is_open = False
        await self._opened.aclose()

    def drain(self) -> None:
        """End every wait and every follower with Unavailable, so that clients come back later."""
        if self._is_open and not self._draining.begun:
            self._draining.begin(self._config.drain_timeout)
            self._logs.interrupt(going_away())
            self.rootfs.drain()

    async def start(
        self,
        spec: JobSpec,
        *,
        owner: str = "local",
        request_id: str | None = None,
        terms: Terms = SERVERS_OWN,
        named: Callable[[str], None] = lambda job_id: None,
    ) -> Job:
        """Start a job on certain terms, and return it once its command has been executed.

        The same owner's same request id gives the same job again. A start goes on when its caller
        has gone away: `named` is called with the job's id before anything is done, and with "" if
        there is no job after all. Raises StartFailed if the
        command can't be executed, AlreadyExists for a name that a live job of the owner has,
        ResourceExhausted naming `max_jobs`.
        """
        self._check_open()
        spec_fields.check_request_id(request_id)
        check_sizes(spec)
        return await self._lifecycle.start(spec, owner, request_id, terms, named)

    async def stop(
        self, ref: str, *, grace: float | None = None, by: str = "local", visible_to: str | None = None
    ) -> StopResult:
        """Stop a job and return once its whole process tree is gone; harmless if it has ended.

        SIGTERM first, SIGKILL after `grace` seconds (the job's own if None, 0 = at once). A job whose
        command is not executed yet, and is not within a second, has FAILED. Raises ResourceExhausted
        if nothing is left of the job and its end can't be written for want of room.
        """
        self._check_open()
        if grace is not None:
            spec_fields.check_seconds("grace", grace)
        job = await self._store.resolve(ref, visible_to=visible_to)
        live = self._lifecycle.live(job.id)
        if live is None:
            return StopResult(await self._store.resolve(job.id), already_ended=True)
        own_grace = job.spec.grace
        wanted = own_grace if grace is None else grace
        await self._draining.unless_begun(self._lifecycle.settle_start(live, by, wanted))
        if not live.ended.done():
            await self._lifecycle.request_stop(live, by, wanted, own_grace)
        return StopResult(await self._draining.unless_begun(live.stopped), already_ended=False)

    async def get(self, ref: str, *, visible_to: str | None = None) -> Job:
        """Return a job as it is now, with what it has used so far if it runs."""
        self._check_open()
        job = await self._store.resolve(ref, visible_to=visible_to)
        if job.state.ended or self._lifecycle.live(job.id) is None:
            return job
        return replace(job, usage=await asyncio.to_thread(self._resources.usage, job.id))

    async def list(self, wanted: JobFilter | None = None, *, page_size: int = 0, page_token: str = "") -> JobPage:
        """Return one page of jobs, newest first; 100 if no size is given, at most 1,000, fewer if they are large."""
        self._check_open()
        if page_size < 0:
            raise InvalidArgument(f"page_size is {page_size}, less than 0", obj="page_size")
        size = min(page_size or _DEFAULT_PAGE, _MAX_PAGE)
        return await self._store.page(wanted or JobFilter(), size, page_token)

    async def wait(self, ref: str, *, visible_to: str | None = None) -> Job:
        """Return a job once it has ended."""
        self._check_open()
        # The whole id of a live job needs no look at the database.
        live = self._lifecycle.live(ref)
        if live is None or visible_to not in (None, live.owner):
            job = await self._store.resolve(ref, visible_to=visible_to)
            live = self._lifecycle.live(job.id)
            if live is None:
                return job if job.state.ended else await self._store.resolve(job.id)
        return await self._draining.unless_begun(live.ended)

    async def stats(self, *, visible_to: str | None = None) -> Stats:
        """Return how many jobs there are by state, what those that run use together, and how many followers."""
        self._check_open()
        return await self._census.stats(visible_to)

    def owner_of(self, job_id: str) -> str | None:
        """Return whose a live job is, by its whole id, None for any other; needs no look at the database."""
        live = self._lifecycle.live(job_id)
        return None if live is None else live.owner

    def ending(self, job_id: str) -> asyncio.Future[Job] | None:
        """Return the future that has the job once it has ended, None if that is so already.

        Who holds it learns the end even if the job is deleted right after. Others hold it too: not to be cancelled.
        """
        live = self._lifecycle.live(job_id)
        return None if live is None else live.ended

    async def follow(
        self, ref: str, *, offset: int = 0, follow: bool = True, visible_to: str | None = None
    ) -> Follower:
        """Return a reader of a job's output from `offset` (bytes) to the job's end.

        Without `follow` it ends where the output ended when it was first read. Raises
        OutOfRange for an offset past the end, DataLoss if the log file is gone.
        """
        self._check_open()
        job = await self._store.resolve(ref, visible_to=visible_to)
        live = self._lifecycle.live(job.id)
        if live is not None:
            await self._draining.unless_begun(live.started)
        try:
            follower = await open_follower(
                self._logs,
                job.id,
                Path(job.log_path),
                ended=self._lifecycle.live(job.id) is None,
                offset=offset,
                follow=follow,
                chunk_size=self._config.chunk_size,
                owner=job.owner,
            )
        except DataLoss:
            # If the job is deleted at the same time, nothing is lost: it is not there any more, or about to be gone.
            if job.id in self._leaving:
                raise NotFound(f"job {job.id} has just been deleted", obj=job.id) from None
            await self._store.resolve(job.id)
            raise
        # Either may have come while the file was being opened.
        if self._lifecycle.live(job.id) is None:
            self._logs.finish(job.id)
        if self._draining.begun:
            self._logs.interrupt(going_away())
        return follower

    async def remove(self, ref: str, *, visible_to: str | None = None) -> Job:
        """Delete an ended job and its log file; return what it was."""
        self._check_open()
        job = await self._store.resolve(ref, visible_to=visible_to)
        if self._lifecycle.live(job.id) is not None:
            raise FailedPrecondition(f"job {job.id} has not ended", obj=job.id, hint="stop it first")
        self._leaving.add(job.id)
        try:
            # The log first: if we are cut off in between, the job can be deleted again.
            await asyncio.to_thread(datadir.remove_log, Path(job.log_path))
            await self._store.delete(job.id)
        finally:
            self._leaving.discard(job.id)
        return job

    def _check_open(self) -> None:
        if not self._is_open:
            raise FailedPrecondition("the engine is not open", hint="use it inside of `async with Engine(config)`")

    def _fail(self, error: JschedError) -> None:
        if not self.failed.done():
            self.failed.set_result(error)
