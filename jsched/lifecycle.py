"""What happens to a job between its start and its end, and when a server finds it again.

A restart is no second way: a job that ended while nobody was there goes through the same
`_end` as one whose end is seen.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from jsched import datadir, recovery
from jsched.config import Config
from jsched.ending import Ending, from_record
from jsched.environment import complete_environment, home_directory
from jsched.errors import JschedError, ResourceExhausted, StartFailed, Unavailable
from jsched.job import FailedStep, Job, JobSpec
from jsched.linux import process
from jsched.live import LiveJob
from jsched.recovery import NeverStarted, StillRunning
from jsched.state import Event, JobState, advance
from jsched.store import JobRecord, Store
from jsched.store.rows import from_nanoseconds, outcome_columns, to_microseconds
from jsched.supervisor import record
from jsched.supervisor.client import Supervisor
from jsched.supervisor.record import RunRecord

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0


class Lifecycle:
    """The live jobs, and the only place where a job's state moves.

    `ended` is called with a job's id once its end is written down.
    """

    def __init__(self, config: Config, store: Store, supervisor: Supervisor, ended: Callable[[str], None]) -> None:
        self._config = config
        self._store = store
        self._supervisor = supervisor
        self._ended = ended
        self._live: dict[str, LiveJob] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def live(self, job_id: str) -> LiveJob | None:
        """Return a job that has not ended, None for any other."""
        return self._live.get(job_id)

    async def close(self) -> None:
        """Finish what is under way and let go of the monitors; running jobs go on."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._config.drain_timeout)
        for live in self._live.values():
            live.unwatch()

    async def recover(self) -> None:
        """Find out what became of every job that the store believes to be live, and clean up after a crash."""
        for found in await self._store.live():
            await self._take_over(found, await asyncio.to_thread(recovery.survey, self._config, found))
        await asyncio.to_thread(recovery.sweep, self._config, tuple(self._live))
        await self._look_for_exit_records()

    async def start(self, spec: JobSpec, owner: str, request_id: str | None) -> Job:
        """Start a job, or find the one that this request id has started."""
        # In a task of its own: a caller that goes away must not leave half a start behind.
        return await asyncio.shield(self._spawn(self._start(spec, owner, request_id)))

    async def request_stop(self, live: LiveJob, who: str, grace: float) -> None:
        """Ask a live job's monitor for its end, and note who wanted it."""
        try:
            await self._store.set_stopped_by(live.id, who)
        except ResourceExhausted as error:
            _LOG.warning("job %s is stopped by %s, which can't be noted: %s", live.id, who, error)
        if live.run is not None and live.pidfd is not None:
            await asyncio.to_thread(self._supervisor.request_stop, live.run, live.pidfd, grace)

    def exit_record_arrived(self, name: str | None) -> None:
        """Look at the end of the job of that name, or at all if some may have been missed (None)."""
        if name is None:
            self._spawn(self._look_for_exit_records())
        elif name in self._live:
            self._spawn(self._settle(name))

    async def _start(self, spec: JobSpec, owner: str, request_id: str | None) -> Job:
        job_id = str(uuid.uuid4())
        log_path = str(self._config.log_path(job_id))
        job = Job(job_id, spec, owner, JobState.PENDING, created_at=datetime.now(UTC), log_path=log_path)
        live = LiveJob(job_id)
        # Known before it is started: its end may come before the answer to its start.
        self._live[job_id] = live
        try:
            known, new = await self._store.insert(job, request_id)
        except JschedError as error:
            del self._live[job_id]
            live.fail(error)
            raise
        if new:
            return await self._launch(live, job)
        del self._live[job_id]
        return await self._started_before(known)

    async def _started_before(self, job: Job) -> Job:
        live = self._live.get(job.id)
        if live is not None:
            await asyncio.wait((live.started,))
        job = await self._store.resolve(job.id)
        if isinstance(job.outcome, FailedStep):
            raise _start_failure(job, job.outcome)
        return job

    async def _launch(self, live: LiveJob, job: Job) -> Job:
        spec = job.spec
        try:
            run = await self._supervisor.launch(
                job_id=job.id,
                argv=tuple(spec.argv),
                env=complete_environment(spec.env, job.id),
                workdir=spec.workdir or home_directory(),
                log_path=job.log_path,
                timeout=spec.timeout,
                grace=spec.grace,
            )
        except StartFailed as error:
            await self._note_failed_start(live, error)
            raise
        except JschedError as error:
            await self._undo_start(live, job, error)
            raise
        return await self._note_start(live, job, run)

    async def _note_start(self, live: LiveJob, job: Job, run: RunRecord) -> Job:
        live.run = run
        pidfd = process.open_process(run.monitor_pid, run.monitor_start)
        if pidfd is not None:
            live.watch(pidfd, self._monitor_gone)
        job = await self._store_start(live, run)
        live.started.set_result(job)
        if pidfd is None:
            self._spawn(self._settle(live.id))
        return job

    async def _store_start(self, live: LiveJob, run: RunRecord) -> Job:
        after = advance(live.stored, Event.EXECUTED)
        changes = {
            "started_at": to_microseconds(from_nanoseconds(run.started_at_ns)),
            "boot_id": run.boot_id,
            "monitor_pid": run.monitor_pid,
            "monitor_start": run.monitor_start,
            "pid": run.pid,
        }
        job = await self._until_stored(live.id, lambda: self._store.advance(live.id, live.stored, after, changes))
        live.stored = after
        return job

    async def _note_failed_start(self, live: LiveJob, error: StartFailed) -> None:
        error.job_id = live.id
        changes = {
            "ended_at": to_microseconds(datetime.now(UTC)),
            **outcome_columns(FailedStep(error.step, error.errno)),
        }
        await self._end(live, Ending(Event.START_FAILED, changes))

    async def _undo_start(self, live: LiveJob, job: Job, error: JschedError) -> None:
        del self._live[live.id]
        await asyncio.to_thread(datadir.remove_log, Path(job.log_path))
        await self._store.delete(live.id)
        await asyncio.to_thread(self._forget, live.id)
        live.fail(error)

    def _monitor_gone(self, job_id: str) -> None:
        live = self._live[job_id]
        if live.pidfd is not None:
            asyncio.get_running_loop().remove_reader(live.pidfd)
        self._spawn(self._settle(job_id))

    async def _look_for_exit_records(self) -> None:
        for job_id in await asyncio.to_thread(recovery.exit_records, self._config.exits_dir):
            if job_id in self._live:
                self._spawn(self._settle(job_id))

    async def _settle(self, job_id: str) -> None:
        """Find out how a job ended, from its record or from its monitor being gone, and write it down."""
        live = self._live.get(job_id)
        if live is None or live.settling:
            return
        live.settling = True
        await asyncio.wait((live.started,))
        if live.started.exception() is not None or live.run is None:
            return
        exit_record = await asyncio.to_thread(record.read_exit, self._config.exits_dir, job_id)
        if exit_record is not None:
            await self._end(live, from_record(exit_record))
        elif live.pidfd is None or process.has_ended(live.pidfd):
            await self._end(live, await asyncio.to_thread(recovery.lost, job_id, live.run))
        else:
            live.settling = False

    async def _end(self, live: LiveJob, ending: Ending) -> None:
        """Write a job's end down and tell everyone who waits for it; for live jobs and recovered ones alike."""
        live.settling = True
        after = advance(live.stored, ending.event)
        job = await self._until_stored(
            live.id, lambda: self._store.advance(live.id, live.stored, after, ending.changes)
        )
        live.unwatch()
        del self._live[live.id]
        self._ended(live.id)
        for future in (live.started, live.ended):
            if not future.done():
                future.set_result(job)
        await asyncio.to_thread(self._forget, live.id)

    async def _take_over(self, found: JobRecord, finding: recovery.Finding) -> None:
        job = found.job
        live = LiveJob(job.id, stored=job.state)
        self._live[job.id] = live
        match finding:
            case NeverStarted():
                await self._undo_start(live, job, Unavailable(f"job {job.id} was never started"))
            case Ending():
                await self._end(live, finding)
            case StillRunning(run, pidfd):
                await self._adopt(live, job, run, pidfd)

    async def _adopt(self, live: LiveJob, job: Job, run: RunRecord, pidfd: int) -> None:
        live.run = run
        live.watch(pidfd, self._monitor_gone)
        if job.state is JobState.PENDING:
            job = await self._store_start(live, run)
        live.started.set_result(job)
        grace = await asyncio.to_thread(record.read_stop, self._config.stops_dir, job.id)
        if grace is not None:
            # The server before may have been cut off between its request and the signal.
            await asyncio.to_thread(self._supervisor.request_stop, run, pidfd, grace)

    async def _until_stored(self, job_id: str, write: Callable[[], Awaitable[Job]]) -> Job:
        """Write what has happened and can't be refused, again and again while the disk is full."""
        while True:
            try:
                job = await write()
            except ResourceExhausted as error:
                _LOG.error("job %s can't be written down, trying again: %s", job_id, error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return job

    def _forget(self, job_id: str) -> None:
        record.forget(self._config.runs_dir, self._config.exits_dir, self._config.stops_dir, job_id)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, JschedError):
            _LOG.error("a defect in the engine", exc_info=error)


def _start_failure(job: Job, outcome: FailedStep) -> StartFailed:
    return StartFailed(
        f"job {job.id} could not be started: {outcome.step}: {os.strerror(outcome.errno)}",
        step=outcome.step,
        errno=outcome.errno,
        job_id=job.id,
        obj=job.id,
    )
