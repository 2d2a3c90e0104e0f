"""How it is found out that live jobs have ended, and how their ends are written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from jsched import recovery
from jsched.config import Config
from jsched.ending import Ending, from_record
from jsched.errors import ResourceExhausted
from jsched.job import Job
from jsched.live import LiveJob
from jsched.resources import Resources
from jsched.state import JobState, advance
from jsched.store import Store
from jsched.supervisor import record
from jsched.supervisor.record import ExitRecord, RunRecord
from jsched.tasks import Tasks, insist

# Who stops a job waits so long for its end to be written.
_PATIENCE = 3.0
# One thread is woken for all that have ended meanwhile; a monitor that rests syncs a record which is there for longer.
_FORGET_SECONDS = 0.02
_LOG = logging.getLogger(__name__)


class Settler:
    """Settles the jobs in `live`.

    `release` is called with a job's id once its monitor has nothing more to do for it, `ended`
    once its end is written down.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        resources: Resources,
        live: dict[str, LiveJob],
        tasks: Tasks,
        release: Callable[[str], None],
        ended: Callable[[str], None],
    ) -> None:
        self._config = config
        self._store = store
        self._resources = resources
        self._live = live
        self._tasks = tasks
        self._release = release
        self._ended = ended
        self._over: list[str] = []

    def exit_record_arrived(self, name: str | None) -> None:
        """Look at the end of the job of that name, or at all if some may have been missed (None)."""
        if name is None:
            self._tasks.spawn(self.look_for_exit_records())
        elif name in self._live:
            self._tasks.spawn(self.settle(name))

    def monitor_gone(self, job_id: str) -> None:
        """Settle a job whose monitor has ended."""
        live = self._live[job_id]
        if live.pidfd is not None:
            asyncio.get_running_loop().remove_reader(live.pidfd)
        self._tasks.spawn(self.settle(job_id))

    async def look_for_exit_records(self) -> None:
        """Settle every live job that has an exit record."""
        for job_id in await asyncio.to_thread(recovery.exit_records, self._config.exits_dir):
            if job_id in self._live:
                self._tasks.spawn(self.settle(job_id))

    async def settle(self, job_id: str) -> None:
        """Find out how a job ended, from its record or from its monitor being gone, and write it down."""
        live = self._live.get(job_id)
        if live is None or live.settling:
            return
        live.settling = True
        # While the start of a short job is still being written down.
        exit_record = await self._exit_record(job_id)
        if not live.started.done():
            await asyncio.wait((live.started,))
        run = live.run
        if live.started.exception() is not None or run is None:
            return
        while exit_record is None:
            # Asked before the record is looked for: a monitor writes first and ends then.
            gone = live.monitor_gone
            exit_record = await self._exit_record(job_id)
            if exit_record is None and gone:
                await self.end(live, await insist(job_id, lambda: self._lose(job_id, run)))
                return
            if exit_record is None and not live.monitor_gone:
                live.settling = False
                return
        await self.end(live, from_record(exit_record))

    async def _exit_record(self, job_id: str) -> ExitRecord | None:
        async def read() -> ExitRecord | None:
            # Not on a thread: it was written a moment ago, so it is in memory, and read sooner than a thread is woken.
            return record.read_exit(self._config.exits_dir, job_id)

        return await insist(job_id, read)

    async def _lose(self, job_id: str, run: RunRecord) -> Ending:
        return await asyncio.to_thread(recovery.lost, self._config, self._resources, job_id, run)

    async def end(self, live: LiveJob, ending: Ending) -> None:
        """Write a job's end down and tell everyone who waits for it; for live jobs and recovered ones alike."""
        live.settling = True
        after = advance(live.stored, ending.event)
        since = asyncio.get_running_loop().time()
        job = await insist(live.id, lambda: self._write_end(live, after, ending, since))
        # Not before: a stop of this job that came later would end the monitor's next one.
        live.unwatch()
        self._release(live.id)
        del self._live[live.id]
        self._ended(live.id)
        for future in (live.started, live.ended, live.stopped):
            if not future.done():
                future.set_result(job)
        self._forget_later(live.id)

    async def _write_end(self, live: LiveJob, after: JobState, ending: Ending, since: float) -> Job:
        try:
            return await self._store.advance(live.id, live.stored, after, ending.changes)
        except ResourceExhausted as error:
            if asyncio.get_running_loop().time() - since >= _PATIENCE and not live.stopped.done():
                live.stopped.set_exception(
                    ResourceExhausted(
                        f"nothing is left of job {live.id}, and its end can't be written: {error.message}",
                        obj=live.id,
                        hint="make room on the disk; how the job ended is written then",
                    )
                )
            raise

    def _forget_later(self, job_id: str) -> None:
        self._over.append(job_id)
        if len(self._over) == 1:
            self._tasks.spawn(self._forget_over())

    async def _forget_over(self) -> None:
        await asyncio.sleep(_FORGET_SECONDS)
        over, self._over = self._over, []
        await asyncio.to_thread(self.forget, *over)

    def forget(self, *job_ids: str) -> None:
        """Remove what monitors and servers have told each other about jobs; blocking."""
        for job_id in job_ids:
            try:
                record.forget(self._config.runs_dir, self._config.exits_dir, self._config.stops_dir, job_id)
            except OSError as error:
                _LOG.warning("job %s: its records can't be removed: %s", job_id, error)
