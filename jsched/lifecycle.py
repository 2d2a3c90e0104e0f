"""What happens to a job between its start and its end, and when a server finds it again.

A restart is no second way: a job that ended while nobody was there goes through the same
`_end` as one whose end is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from jsched import datadir, recovery
from jsched.config import Config
from jsched.confiner import Confined, Confiner
from jsched.ending import Ending
from jsched.environment import complete_environment, home_directory
from jsched.errors import FailedPrecondition, JschedError, NotFound, ResourceExhausted, StartFailed, Unavailable
from jsched.isolation.draft import Planned
from jsched.job import FailedStep, Job, JobSpec
from jsched.library import RootfsLibrary
from jsched.linux import process
from jsched.live import LiveJob
from jsched.recovery import NeverStarted, StillRunning
from jsched.resources import Resources
from jsched.settler import Settler
from jsched.state import Event, JobState, advance
from jsched.store import JobRecord, Store
from jsched.store.rows import from_nanoseconds, outcome_columns, to_microseconds
from jsched.supervisor import record
from jsched.supervisor.client import Supervisor
from jsched.supervisor.record import RunRecord
from jsched.tasks import RETRY_SECONDS, Tasks, insist

_LOG = logging.getLogger(__name__)
_RECOVERY_SECONDS = 5.0


class Lifecycle:
    """The live jobs, and the only place where a job's state moves.

    `ended` is called with a job's id once its end is written down.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        supervisor: Supervisor,
        resources: Resources,
        confiner: Confiner,
        trees: RootfsLibrary,
        ended: Callable[[str], None],
    ) -> None:
        self._config = config
        self._resources = resources
        self._confiner = confiner
        self._trees = trees
        self._store = store
        self._supervisor = supervisor
        self._live: dict[str, LiveJob] = {}
        self._tasks = Tasks()
        self._settler = Settler(config, store, resources, self._live, self._tasks, supervisor.release, ended)
        self.exit_record_arrived = self._settler.exit_record_arrived

    def live(self, job_id: str) -> LiveJob | None:
        """Return a job that has not ended, None for any other."""
        return self._live.get(job_id)

    def users_of(self, digest: str) -> list[str]:
        """Return the ids of the live jobs that use a root file system."""
        return [job_id for job_id, live in self._live.items() if live.rootfs == digest]

    async def close(self, within: float) -> None:
        """Finish what is under way, for so many seconds, and let go of the monitors; running jobs go on."""
        # What could not be finished is as after a crash: the next engine finds it.
        await self._tasks.close(within)
        for live in self._live.values():
            live.unwatch()

    async def recover(self) -> None:
        """Find out what became of every job that the store believes to be live, and clean up after a crash.

        What can't be finished in some seconds, because the disk is full or a process won't die,
        is finished later: it must not keep the engine from opening.
        """
        found = await self._store.live()
        for one in found:
            rootfs = one.job.walls.rootfs if one.job.walls else ""
            self._live[one.job.id] = LiveJob(one.job.id, stored=one.job.state, rootfs=rootfs)
        tasks = [self._tasks.spawn(self._take_over(self._live[one.job.id], one)) for one in found]
        if tasks:
            await asyncio.wait(tasks, timeout=_RECOVERY_SECONDS)
        await asyncio.to_thread(recovery.sweep, self._config, self._resources, tuple(self._live))
        await self._settler.look_for_exit_records()
        self._supervisor.fill()

    async def start(self, spec: JobSpec, owner: str, request_id: str | None) -> Job:
        """Start a job, or find the one that this request id has started."""
        # In a task of its own: a caller that goes away must not leave half a start behind.
        task = self._tasks.spawn(self._start(spec, owner, request_id))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Unavailable("the server went away during the start", hint="try again") from None
            raise

    async def request_stop(self, live: LiveJob, who: str, grace: float, own_grace: float) -> None:
        """Ask a live job's monitor for its end within `grace` seconds, and note who wanted it.

        Raises ResourceExhausted if the disk is full and `grace` is longer than the job's own:
        what can't be noted, the monitor can't be told.
        """
        try:
            await self._store.set_stopped_by(live.id, who)
        except ResourceExhausted as error:
            _LOG.warning("job %s is stopped by %s, which can't be noted: %s", live.id, who, error)
        try:
            await asyncio.to_thread(self._supervisor.note_stop, live.id, grace)
        except ResourceExhausted:
            if grace > own_grace:
                raise
            if grace < own_grace:
                self._tasks.spawn(self._note_stop_later(live, grace))
        await self._signal_stop(live)

    async def _note_stop_later(self, live: LiveJob, grace: float) -> None:
        """Make a stop as quick as it was asked to be once there is room to say so, if it is not over by then."""
        while live.pidfd is not None:
            await asyncio.sleep(RETRY_SECONDS)
            with contextlib.suppress(ResourceExhausted):
                await asyncio.to_thread(self._supervisor.note_stop, live.id, grace)
                await self._signal_stop(live)
                return

    async def _signal_stop(self, live: LiveJob) -> None:
        # Here, not on a thread: as soon as the job has ended, the descriptor is closed and may
        # be that of another job's monitor.
        if live.pidfd is not None:
            self._supervisor.signal_stop(live.pidfd)
        else:
            await asyncio.to_thread(record.forget_stop, self._config.stops_dir, live.id)

    async def _start(self, spec: JobSpec, owner: str, request_id: str | None) -> Job:
        while True:
            job_id = str(uuid.uuid4())
            # Known before it is started: its end may come before the answer to its start.
            live = self._live[job_id] = LiveJob(job_id)
            try:
                job, planned, confined = await self._prepare(live, spec, owner)
                known, new = await self._store.insert(job, request_id, process.boot_id())
            except JschedError as error:
                del self._live[job_id]
                live.fail(error)
                raise
            if new:
                return await self._launch(live, job, planned, confined)
            del self._live[job_id]
            # Gone again: that start has failed meanwhile, without a trace.
            with contextlib.suppress(NotFound):
                return await self._started_before(known)

    async def _prepare(self, live: LiveJob, spec: JobSpec, owner: str) -> tuple[Job, Planned, Confined]:
        """Return a job that can be started, with its limits and its walls."""
        confined = await self._confine(live, spec)
        planned = await self._plan(live.id, spec, companions=int(confined.sandbox is not None))
        job = Job(
            live.id,
            spec,
            owner,
            JobState.PENDING,
            created_at=datetime.now(UTC),
            log_path=str(self._config.log_path(live.id)),
            applied=planned.applied,
            unenforced=planned.unenforced,
            walls=confined.walls,
        )
        return job, planned, confined

    async def _started_before(self, job: Job) -> Job:
        live = self._live.get(job.id)
        if live is not None:
            await asyncio.shield(live.started)
        job = await self._store.resolve(job.id)
        if isinstance(job.outcome, FailedStep):
            raise _start_failure(job, job.outcome)
        return job

    async def _plan(self, job_id: str, spec: JobSpec, companions: int) -> Planned:
        """Return how the job's limits are applied; a path may lie on a file system that does not answer."""
        plan = functools.partial(self._resources.plan, job_id, spec.limits, companions=companions)
        return await asyncio.to_thread(plan) if spec.limits.disk else plan()

    async def _confine(self, live: LiveJob, spec: JobSpec) -> Confined:
        """Return the job's walls; what is asked for may lie on a file system that does not answer."""
        asked = spec.confinement
        plan = functools.partial(self._confiner.plan, asked)
        if asked.rootfs is not None:
            with self._trees.hold(asked.rootfs) as rootfs:
                # From now on it is known to be in use.
                live.rootfs = rootfs.digest
            plan = functools.partial(plan, tree=self._trees.path(rootfs.digest), digest=rootfs.digest)
        return await asyncio.to_thread(plan) if asked.binds else plan()

    async def _launch(self, live: LiveJob, job: Job, planned: Planned, confined: Confined) -> Job:
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
                cgroup=planned.cgroup,
                sandbox=confined.sandbox,
                owner=job.owner,
            )
        except StartFailed as error:
            await self._note_failed_start(live, error)
            raise
        except JschedError as error:
            # The caller need not wait for a full disk to have room again.
            await asyncio.wait((self._tasks.spawn(self._undo_launch(live, job, error)),), timeout=RETRY_SECONDS)
            raise
        return await self._note_start(live, run)

    async def _note_start(self, live: LiveJob, run: RunRecord) -> Job:
        live.run = run
        pidfd = await insist(live.id, lambda: _open_process(run))
        if pidfd is not None:
            live.watch(pidfd, self._settler.monitor_gone)
        job = await self._store_start(live, run)
        live.started.set_result(job)
        if pidfd is None:
            self._tasks.spawn(self._settler.settle(live.id))
        return job

    async def _store_start(self, live: LiveJob, run: RunRecord) -> Job:
        after = advance(live.stored, Event.EXECUTED)
        changes = {
            "started_at": to_microseconds(from_nanoseconds(run.started_at_ns)),
            "boot_id": run.boot_id,
            "monitor_pid": run.monitor_pid,
            "monitor_start": run.monitor_start,
            "pid": run.pid,
            "pid_start": run.pid_start,
            "slot": run.slot,
        }
        job = await insist(live.id, lambda: self._store.advance(live.id, live.stored, after, changes))
        live.stored = after
        return job

    async def _note_failed_start(self, live: LiveJob, error: StartFailed) -> None:
        error.job_id = live.id
        changes = {
            "ended_at": to_microseconds(datetime.now(UTC)),
            **outcome_columns(FailedStep(error.step, error.errno)),
        }
        await self._settler.end(live, Ending(Event.START_FAILED, changes))

    async def _undo_launch(self, live: LiveJob, job: Job, error: JschedError) -> None:
        await self._undo_start(live, job, error)
        await asyncio.to_thread(self._settler.forget, live.id)

    async def _undo_start(self, live: LiveJob, job: Job, error: JschedError) -> None:
        """Forget a job of which nothing was started, but for its files in the data directory."""
        live.fail(error)
        # A log that the monitor could not make, because the name was taken, is not ours to remove.
        if not isinstance(error, FailedPrecondition):
            await asyncio.to_thread(_remove_log, job)
        await insist(live.id, lambda: self._store.delete(live.id))
        # Not before its row is gone: who finds the row has to find out here that it means nothing.
        del self._live[live.id]

    async def _take_over(self, live: LiveJob, found: JobRecord) -> None:
        job = found.job
        match await insist(job.id, lambda: asyncio.to_thread(recovery.survey, self._config, self._resources, found)):
            case NeverStarted():
                # The claim stays, or a monitor that comes late would start the job after all.
                await self._undo_start(live, job, Unavailable(f"job {job.id} was never started", hint="try again"))
            case Ending() as ending:
                await self._settler.end(live, ending)
            case StillRunning(run, pidfd):
                await self._adopt(live, job, run, pidfd)

    async def _adopt(self, live: LiveJob, job: Job, run: RunRecord, pidfd: int) -> None:
        live.run = run
        self._supervisor.adopt(job.id, run.slot)
        live.watch(pidfd, self._settler.monitor_gone)
        stops = self._config.stops_dir
        if await insist(job.id, lambda: asyncio.to_thread(record.read_stop, stops, job.id)) is not None:
            # The server before may have been cut off between its request and the signal.
            await self._signal_stop(live)
        if job.state is JobState.PENDING:
            job = await self._store_start(live, run)
        live.started.set_result(job)


async def _open_process(run: RunRecord) -> int | None:
    return process.open_process(run.monitor_pid, run.monitor_start)


def _remove_log(job: Job) -> None:
    try:
        datadir.remove_log(Path(job.log_path))
    except OSError as error:
        _LOG.warning("job %s: its log can't be removed: %s", job.id, error)


def _start_failure(job: Job, outcome: FailedStep) -> StartFailed:
    return StartFailed(
        f"job {job.id} could not be started: {outcome.step}: {os.strerror(outcome.errno)}",
        step=outcome.step,
        errno=outcome.errno,
        job_id=job.id,
        obj=job.id,
    )
