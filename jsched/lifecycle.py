"""What happens to a job between its start and its end, and when a server finds it again.

A restart is no second way: a job that ended while nobody was there goes through the same
`Settler.end` as one whose end is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from jsched import recovery
from jsched.config import Config
from jsched.confiner import Confiner
from jsched.ending import Ending
from jsched.errors import ResourceExhausted, Unavailable
from jsched.job import Job
from jsched.library import RootfsLibrary
from jsched.live import LiveJob
from jsched.preparation import Preparation
from jsched.recovery import NeverStarted, StillRunning
from jsched.resources import Resources
from jsched.settler import Settler
from jsched.starter import Starter
from jsched.state import JobState
from jsched.store import JobRecord, Store
from jsched.supervisor import record
from jsched.supervisor.client import Supervisor
from jsched.supervisor.record import RunRecord
from jsched.tasks import RETRY_SECONDS, Tasks, insist

_LOG = logging.getLogger(__name__)
_RECOVERY_SECONDS = 5.0
# A start takes some milliseconds. One that is under way as it should be is not cut off by a stop.
_START_SECONDS = 1.0
_AGAIN_SECONDS = 0.1


class Lifecycle:
    """The live jobs, and the only place where a job's state moves.

    `ended` is called with a job's id once its end is written down. `jobs` are the live ones by id.
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
        self._store = store
        self._supervisor = supervisor
        self._live: dict[str, LiveJob] = {}
        self.jobs: Mapping[str, LiveJob] = self._live
        self._tasks = Tasks()
        self._settler = Settler(config, store, resources, self._live, self._tasks, supervisor.release, ended)
        preparation = Preparation(config, resources, confiner, trees)
        self._starter = Starter(store, supervisor, resources, preparation, self._live, self._tasks, self._settler)
        self.start = self._starter.start
        self.exit_record_arrived = self._settler.exit_record_arrived

    def live(self, job_id: str) -> LiveJob | None:
        """Return a job that has not ended, None for any other."""
        return self._live.get(job_id)

    def users_of(self, digest: str, visible_to: str | None) -> list[str]:
        """Return the ids of the live jobs that use a root file system, all of them or one user's."""
        return [
            job_id for job_id, live in self._live.items() if live.rootfs == digest and visible_to in (None, live.owner)
        ]

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
            self._live[one.job.id] = LiveJob(
                one.job.id, one.job.owner, one.request_id, stored=one.job.state, rootfs=rootfs
            )
        tasks = [self._tasks.spawn(self._take_over(self._live[one.job.id], one)) for one in found]
        if tasks:
            await asyncio.wait(tasks, timeout=_RECOVERY_SECONDS)
        await asyncio.to_thread(recovery.sweep, self._config, self._resources, tuple(self._live))
        await self._settler.look_for_exit_records()
        self._supervisor.fill()

    def settle_start(self, live: LiveJob, who: str, grace: float) -> asyncio.Task[None]:
        """See to it that a job's start is over: one that takes longer than `grace`, or a second, is ended."""
        return self._tasks.spawn(self._settle_start(live, who, min(grace, _START_SECONDS)))

    async def _settle_start(self, live: LiveJob, who: str, patience: float) -> None:
        await asyncio.wait((live.started,), timeout=patience)
        # With a monitor that is known to run the job, a stop needs nothing else.
        if live.started.done() or live.run is not None:
            return
        await self._note_stopped_by(live, who)
        while not live.started.done():
            # It may be about to be launched, or its monitor be about to tell that it runs.
            self._supervisor.end_launch(live.id)
            await asyncio.wait((live.started,), timeout=_AGAIN_SECONDS)

    async def request_stop(self, live: LiveJob, who: str, grace: float, own_grace: float) -> None:
        """Ask a live job's monitor for its end within `grace` seconds, and note who wanted it.

        Raises ResourceExhausted if the disk is full and `grace` is longer than the job's own:
        what can't be noted, the monitor can't be told.
        """
        await self._note_stopped_by(live, who)
        try:
            await asyncio.to_thread(self._supervisor.note_stop, live.id, grace)
        except ResourceExhausted:
            if grace > own_grace:
                raise
            if grace < own_grace:
                self._tasks.spawn(self._note_stop_later(live, grace))
        await self._signal_stop(live)

    async def _note_stopped_by(self, live: LiveJob, who: str) -> None:
        try:
            await self._store.set_stopped_by(live.id, who)
        except ResourceExhausted as error:
            _LOG.warning("job %s is stopped by %s, which can't be noted: %s", live.id, who, error)

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

    async def _take_over(self, live: LiveJob, found: JobRecord) -> None:
        job = found.job
        match await insist(job.id, lambda: asyncio.to_thread(recovery.survey, self._config, self._resources, found)):
            case NeverStarted():
                # The claim stays, or a monitor that comes late would start the job after all.
                error = Unavailable(f"job {job.id} was never started", hint="try again")
                await self._starter.undo_start(live, job, error)
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
            job = await self._starter.store_start(live, job, run)
        live.started.set_result(job)
