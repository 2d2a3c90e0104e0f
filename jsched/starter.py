"""Starts: a job is written down, launched, and forgotten again if nothing comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from jsched import datadir
from jsched.ending import Ending
from jsched.environment import complete_environment, home_directory
from jsched.errors import (
    FailedPrecondition,
    Internal,
    JschedError,
    NotFound,
    ResourceExhausted,
    StartFailed,
    Unavailable,
)
from jsched.job import FailedStep, Job, JobSpec
from jsched.linux import process
from jsched.live import LiveJob
from jsched.preparation import Preparation, Prepared
from jsched.resources import Resources
from jsched.settler import Settler
from jsched.state import Event, advance
from jsched.store import Store
from jsched.store.rows import from_nanoseconds, outcome_columns, to_microseconds
from jsched.supervisor import failures
from jsched.supervisor.client import Supervisor
from jsched.supervisor.record import RunRecord
from jsched.tasks import RETRY_SECONDS, Tasks, insist
from jsched.terms import Terms

_LOG = logging.getLogger(__name__)


class Starter:
    """Starts jobs, and adds them to `live`."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        resources: Resources,
        preparation: Preparation,
        live: dict[str, LiveJob],
        tasks: Tasks,
        settler: Settler,
    ) -> None:
        self._store = store
        self._supervisor = supervisor
        self._resources = resources
        self._preparation = preparation
        self._live = live
        self._tasks = tasks
        self._settler = settler

    async def start(
        self, spec: JobSpec, owner: str, request_id: str | None, terms: Terms, named: Callable[[str], None]
    ) -> Job:
        """Start a job, or find the one that this request id has started.

        `named` is called with the job's id before anything is done, and with "" if there is no job after all.
        Raises ResourceExhausted if its owner has as many live jobs as the terms allow.
        """
        # In a task of its own: a caller that goes away must not leave half a start behind.
        task = self._tasks.spawn(self._start(spec, owner, request_id, terms, named))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Unavailable("the server went away during the start", hint="try again") from None
            raise

    async def _start(
        self, spec: JobSpec, owner: str, request_id: str | None, terms: Terms, named: Callable[[str], None]
    ) -> Job:
        while True:
            if self._is_full(owner, request_id, terms.max_jobs):
                known = await self._known(spec, owner, request_id)
                if known is None:
                    raise _too_many(owner, terms.max_jobs)
            else:
                # Nothing was waited for since: of two starts for the last place, one is refused.
                live = self._take_place(owner, request_id)
                named(live.id)
                try:
                    known, prepared = await self._write_down(live, spec, terms)
                except Exception:
                    named("")
                    raise
                if prepared is not None:
                    return await self._launch(live, prepared)
            named(known.id)
            # Gone again: that start has failed meanwhile, without a trace.
            with contextlib.suppress(NotFound):
                return await self._started_before(known)

    def _is_full(self, owner: str, request_id: str | None, most: int | None) -> bool:
        """Return whether one more job would be too many for its owner."""
        if most is None:
            return False
        # Whatever is asked with one request id comes to one job.
        places = {
            (live.request_id is not None, live.request_id or live.id)
            for live in self._live.values()
            if live.owner == owner
        }
        return len(places) >= most and (True, request_id) not in places

    async def _known(self, spec: JobSpec, owner: str, request_id: str | None) -> Job | None:
        return None if request_id is None else await self._store.requested(spec, owner, request_id)

    def _take_place(self, owner: str, request_id: str | None) -> LiveJob:
        # Known before it is started: its end may come before the answer to its start.
        live = LiveJob(str(uuid.uuid4()), owner, request_id)
        self._live[live.id] = live
        return live

    async def _write_down(self, live: LiveJob, spec: JobSpec, terms: Terms) -> tuple[Job, Prepared | None]:
        """Return the job, ready to be launched; without that, it is one that its request id has made before."""
        try:
            prepared = await self._preparation.prepare(live, spec, terms)
            job, new = await self._store.insert(prepared.job, live.request_id, process.boot_id())
        except Exception as error:
            del self._live[live.id]
            live.fail(error if isinstance(error, JschedError) else Internal("the start has failed", obj=live.id))
            raise
        if new:
            return job, prepared
        del self._live[live.id]
        return job, None

    async def _started_before(self, job: Job) -> Job:
        live = self._live.get(job.id)
        if live is not None:
            await asyncio.shield(live.started)
        job = await self._store.resolve(job.id)
        if isinstance(job.outcome, FailedStep):
            raise _start_failure(job, job.outcome)
        return job

    async def _launch(self, live: LiveJob, prepared: Prepared) -> Job:
        job, confined = prepared.job, prepared.confined
        spec = job.spec
        try:
            run = await self._supervisor.launch(
                job_id=job.id,
                argv=tuple(spec.argv),
                env=complete_environment(spec.env, job.id, confined.home or home_directory()),
                workdir=spec.workdir or confined.workdir or home_directory(),
                log_path=job.log_path,
                timeout=spec.timeout,
                grace=spec.grace,
                cgroup=prepared.planned.cgroup,
                sandbox=confined.sandbox,
                owner=job.owner,
            )
        except StartFailed as error:
            await self._note_failed_start(live, error)
            if error.step == failures.START:
                # Its monitor is gone, and whatever has hung may hold the cgroup for a while.
                self._tasks.spawn(asyncio.to_thread(self._resources.end, live.id))
            raise
        except JschedError as error:
            # The caller need not wait for a full disk to have room again.
            await asyncio.wait((self._tasks.spawn(self._undo_launch(live, job, error)),), timeout=RETRY_SECONDS)
            raise
        return await self._note_start(live, job, run)

    async def _note_start(self, live: LiveJob, job: Job, run: RunRecord) -> Job:
        live.run = run
        pidfd = await insist(live.id, lambda: _open_process(run))
        if pidfd is not None:
            live.watch(pidfd, self._settler.monitor_gone)
        job = await self.store_start(live, job, run)
        live.started.set_result(job)
        if pidfd is None:
            self._tasks.spawn(self._settler.settle(live.id))
        return job

    async def store_start(self, live: LiveJob, job: Job, run: RunRecord) -> Job:
        """Return a pending job as one that runs, which is found from now on, and will be written down."""
        started_at = from_nanoseconds(run.started_at_ns)
        after = advance(live.stored, Event.EXECUTED)
        changes = {
            "started_at": to_microseconds(started_at),
            "boot_id": run.boot_id,
            "monitor_pid": run.monitor_pid,
            "monitor_start": run.monitor_start,
            "pid": run.pid,
            "pid_start": run.pid_start,
            "slot": run.slot,
        }
        await self._store.put_off(live.id, live.stored, after, changes)
        live.stored = after
        return replace(job, state=after, started_at=started_at, pid=run.pid)

    async def _note_failed_start(self, live: LiveJob, error: StartFailed) -> None:
        error.job_id = live.id
        changes = {
            "ended_at": to_microseconds(datetime.now(UTC)),
            **outcome_columns(FailedStep(error.step, error.errno)),
        }
        await self._settler.end(live, Ending(Event.START_FAILED, changes))

    async def _undo_launch(self, live: LiveJob, job: Job, error: JschedError) -> None:
        await self.undo_start(live, job, error)
        await asyncio.to_thread(self._settler.forget, live.id)

    async def undo_start(self, live: LiveJob, job: Job, error: JschedError) -> None:
        """Forget a job of which nothing was started, but for its files in the data directory."""
        live.fail(error)
        # A log that the monitor could not make, because the name was taken, is not ours to remove.
        if not isinstance(error, FailedPrecondition):
            await asyncio.to_thread(_remove_log, job)
        await insist(live.id, lambda: self._store.delete(live.id))
        # Not before its row is gone: who finds the row has to find out here that it means nothing.
        del self._live[live.id]


async def _open_process(run: RunRecord) -> int | None:
    return process.open_process(run.monitor_pid, run.monitor_start)


def _remove_log(job: Job) -> None:
    try:
        datadir.remove_log(Path(job.log_path))
    except OSError as error:
        _LOG.warning("job %s: its log can't be removed: %s", job.id, error)


def _too_many(owner: str, most: int | None) -> ResourceExhausted:
    return ResourceExhausted(
        f"max_jobs is {most}, and user {owner} has so many jobs that have not ended",
        obj="max_jobs",
        hint="wait for the end of one, or stop it",
    )


def _start_failure(job: Job, outcome: FailedStep) -> StartFailed:
    return StartFailed(
        f"job {job.id} could not be started: {outcome.step}: {os.strerror(outcome.errno)}",
        step=outcome.step,
        errno=outcome.errno,
        job_id=job.id,
        obj=job.id,
    )
