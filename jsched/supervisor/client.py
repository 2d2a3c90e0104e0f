"""The server's end: start jobs through a launcher that may die, and ask monitors to stop them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jsched.errors import (
    Internal,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)
from jsched.isolation.cgroup_plan import CgroupPlan
from jsched.isolation.sandbox import Sandbox
from jsched.supervisor import failures, hanging, logfile, record
from jsched.supervisor.launch import Launch
from jsched.supervisor.launchers import Launchers
from jsched.supervisor.link import Link
from jsched.supervisor.pool import Pool
from jsched.supervisor.record import RunRecord
from jsched.supervisor.wire import LaunchRequest, Report

_MOST_TRIES = 16
# What a monitor itself ends in time, it can say more of.
_PATIENCE = 1.2


class Supervisor:
    """Starts jobs; used on one event loop.

    The directories are those of record; `log_gid` is the group that logs are given to, if any. A
    start that takes longer than `start_timeout` seconds is ended.
    """

    def __init__(
        self, *, runs_dir: Path, exits_dir: Path, stops_dir: Path, log_gid: int | None, start_timeout: float = 30.0
    ) -> None:
        self._runs_dir = os.fspath(runs_dir.absolute())
        self._exits_dir = os.fspath(exits_dir.absolute())
        self._stops_dir = os.fspath(stops_dir.absolute())
        self._log_gid = log_gid
        self._start_timeout = start_timeout
        self._launches: dict[str, Launch] = {}
        self._launchers = Launchers(self.fill)
        self._pool = Pool(self._launchers.alive, self._launchers.works)
        self._busy: dict[str, Link] = {}
        self._adopted: dict[str, int] = {}
        self._stop_writer = threading.Lock()
        self._closed = False

    @property
    def launcher_pid(self) -> int | None:
        """The process id of the launcher, or None while there is none."""
        return self._launchers.pid

    async def open(self) -> None:
        """Start the launcher; raises Unavailable if that can't be done."""
        await self._launchers.alive()

    def fill(self) -> None:
        """Have a monitor ready for the first job; jobs of earlier servers are to be adopted before."""
        self._pool.fill()

    async def close(self) -> None:
        """End the launcher and the monitors that have no job; jobs go on."""
        self._closed = True
        await self._pool.close()
        await self._launchers.close()

    async def launch(
        self,
        job_id: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        workdir: str,
        log_path: str | os.PathLike[str],
        timeout: float | None,  # noqa: ASYNC109 the job's, not this call's
        grace: float,
        cgroup: CgroupPlan | None = None,
        sandbox: Callable[[int], Sandbox] | None = None,
        owner: str = "",
    ) -> RunRecord:
        """Start a job and return when its command was executed; `env` is its whole environment, paths are absolute.

        Raises StartFailed naming the step, which is "start" if it was ended, by its time limit or by
        end_launch(); ResourceExhausted if the host is short of something;
        Unavailable if no monitor can be had, Internal if it was killed: after each of them
        nothing was started, nor will be. If the monitor was killed when the command may have
        been executed already, the run record is returned: how the job ended, nobody knows then.
        A launch that is cancelled may still take place. The job's monitor is held until release(),
        and so is the id range whose slot `sandbox` is asked with; no job of another `owner` gets it
        next.
        """
        request = LaunchRequest(
            job_id=job_id,
            argv=tuple(argv),
            env=dict(env),
            workdir=os.fspath(workdir),
            log_path=os.fspath(log_path),
            log_gid=self._log_gid,
            runs_dir=self._runs_dir,
            exits_dir=self._exits_dir,
            stops_dir=self._stops_dir,
            timeout=timeout,
            grace=grace,
            start_timeout=self._start_timeout,
            cgroup=cgroup,
        )
        launch = self._launches[job_id] = Launch()
        limit = asyncio.get_running_loop().call_later(self._start_timeout * _PATIENCE, launch.end, errno.ETIMEDOUT)
        try:
            link, report = await self._send(launch, request, sandbox, owner)
        finally:
            limit.cancel()
            del self._launches[job_id]
        if report is None and launch.ended_by is not None:
            return await self._end_start(link, request, launch.ended_by)
        if link is None or report is None:
            run = await asyncio.to_thread(record.read_run, self._runs_dir, job_id)
            if run is None:
                message = f"the monitor of job {job_id} has ended before the command was executed"
                raise Internal(message, obj=job_id)
            return run
        if report.run is None:
            self._pool.give_back(link)
            # They are the same whatever the slot.
            raise failures.of_report(request, report, () if sandbox is None else sandbox(0).binds)
        self._busy[job_id] = link
        return report.run

    def end_launch(self, job_id: str) -> None:
        """End a launch that is under way, with ECANCELED; one that is over is left alone."""
        launch = self._launches.get(job_id)
        if launch is not None:
            launch.end(errno.ECANCELED)

    async def _end_start(self, link: Link | None, request: LaunchRequest, number: int) -> RunRecord:
        """End a start that is not waited for any more; return its run record if the command may have run."""
        may_have_run = False
        if link is not None:
            if link.monitor is not None:
                may_have_run = await asyncio.to_thread(hanging.kill_monitor, *link.monitor)
            # A monitor that is not there yet starts nothing that comes through a closed link.
            link.close()
        if may_have_run:
            run = await asyncio.to_thread(record.read_run, self._runs_dir, request.job_id)
            if run is not None:
                return run
        await asyncio.to_thread(logfile.leave, request.log_path, request.log_gid)
        raise failures.of_hanging_start(request, number)

    def release(self, job_id: str) -> None:
        """Let the monitor of a job that is over, and not to be stopped any more, have another one."""
        link = self._busy.pop(job_id, None)
        if link is not None:
            self._pool.give_back(link)
        slot = self._adopted.pop(job_id, None)
        if slot is not None:
            self._pool.slots.give_back(slot)

    def adopt(self, job_id: str, slot: int | None) -> None:
        """Keep the id range of a job that an earlier server has started until release()."""
        if slot is not None and self._pool.slots.keep(slot):
            self._adopted[job_id] = slot

    def note_stop(self, job_id: str, grace: float) -> None:
        """Write down that the job is to end, with `grace` seconds; its monitor learns of it by signal_stop(). Blocks.

        Of several requests the one with the least grace counts. Raises ResourceExhausted if the
        disk is full.
        """
        try:
            with self._stop_writer:
                # One signal may stand for several requests: the file has to say what all of them come to.
                asked = record.read_stop(self._stops_dir, job_id)
                if asked is None or grace < asked:
                    record.write_stop(self._stops_dir, job_id, grace)
        except OSError as error:
            message = f"stop request of job {job_id}: {error.strerror}"
            kind = ResourceExhausted if error.errno in failures.SHORT_OF else Internal
            raise kind(message, obj=job_id) from error

    def signal_stop(self, pidfd: int) -> None:
        """Have the monitor behind `pidfd` end its job as noted, or with the job's own grace if nothing is.

        A monitor that has ended is no error.
        """
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)

    async def _send(
        self, launch: Launch, request: LaunchRequest, sandbox: Callable[[int], Sandbox] | None, owner: str
    ) -> tuple[Link | None, Report | None]:
        """Send a launch to a monitor that is there, and return what it reports.

        No report if it was killed or the launch was ended, no monitor if that was so before there was one.
        """
        for _ in range(_MOST_TRIES):
            if self._closed:
                raise Unavailable("the supervisor is closed")
            wanted = None if sandbox is None else owner
            link = self._pool.take_idle(wanted) or await launch.take(self._pool.take(wanted))
            if link is None:
                return None, None
            if sandbox is not None:
                request = request._replace(sandbox=sandbox(link.slot), slot=link.slot)
            try:
                report = await launch.send(link, request)
            except ValueError as error:
                self._pool.give_back(link)
                raise InvalidArgument(f"argv or env: {error}", obj="argv") from None
            # A launcher that ends before it has forked a monitor leaves a launch that nobody has seen.
            if report is not None or link.began or launch.ended_by is not None:
                return link, report
        raise failures.no_launcher("it keeps ending")
