"""The server's end: start jobs through a launcher that may die, and ask monitors to stop them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsched.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    JschedError,
    ResourceExhausted,
    StartFailed,
    Unavailable,
)
from jsched.isolation.cgroup import CgroupPlan
from jsched.isolation.sandbox import Sandbox
from jsched.supervisor import record
from jsched.supervisor.launcher_link import LauncherLink
from jsched.supervisor.link import Link
from jsched.supervisor.pool import Pool
from jsched.supervisor.record import RunRecord
from jsched.supervisor.wire import LaunchRequest, Report

_SPAWNS_IN_A_ROW = 5
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_REST = 5.0
_MOST_TRIES = 16
_SHORT_OF = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


class Supervisor:
    """Starts jobs; used on one event loop.

    The directories are those of record; `log_gid` is the group that logs are given to, if any.
    """

    def __init__(self, *, runs_dir: Path, exits_dir: Path, stops_dir: Path, log_gid: int | None) -> None:
        self._runs_dir = os.fspath(runs_dir.absolute())
        self._exits_dir = os.fspath(exits_dir.absolute())
        self._stops_dir = os.fspath(stops_dir.absolute())
        self._log_gid = log_gid
        self._launcher: LauncherLink | None = None
        self._pool = Pool(self._alive_launcher, self._monitor_began)
        self._busy: dict[str, Link] = {}
        self._adopted: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._spawning = asyncio.Lock()
        self._stop_writer = threading.Lock()
        self._deaths = 0
        self._rest_until = 0.0
        self._closed = False

    @property
    def launcher_pid(self) -> int | None:
        """The process id of the launcher, or None while there is none."""
        return self._launcher.pid if self._launcher is not None else None

    async def open(self) -> None:
        """Start the launcher; raises Unavailable if that can't be done."""
        await self._alive_launcher()

    def fill(self) -> None:
        """Have a monitor ready for the first job; jobs of earlier servers are to be adopted before."""
        self._pool.fill()

    async def close(self) -> None:
        """End the launcher and the monitors that have no job; jobs go on."""
        self._closed = True
        await self._pool.close()
        async with self._spawning:
            if self._launcher is not None:
                await self._launcher.close()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

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

        Raises StartFailed naming the step; ResourceExhausted if the host is short of something;
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
            cgroup=cgroup,
        )
        link, report = await self._send(request, sandbox, owner)
        if report is None:
            run = await asyncio.to_thread(record.read_run, self._runs_dir, job_id)
            if run is None:
                message = f"the monitor of job {job_id} has ended before the command was executed"
                raise Internal(message, obj=job_id)
            return run
        if report.run is None:
            self._pool.give_back(link)
            raise _error(request, report)
        self._busy[job_id] = link
        return report.run

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
            kind = ResourceExhausted if error.errno in _SHORT_OF else Internal
            raise kind(message, obj=job_id) from error

    def signal_stop(self, pidfd: int) -> None:
        """Have the monitor behind `pidfd` end its job as noted, or with the job's own grace if nothing is.

        A monitor that has ended is no error.
        """
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)

    async def _send(
        self, request: LaunchRequest, sandbox: Callable[[int], Sandbox] | None, owner: str
    ) -> tuple[Link, Report | None]:
        """Send a launch to a monitor that is there, and return what it reports: None if it was killed."""
        for _ in range(_MOST_TRIES):
            if self._closed:
                raise Unavailable("the supervisor is closed")
            link = await self._pool.take(None if sandbox is None else owner)
            if sandbox is not None:
                request = request._replace(sandbox=sandbox(link.slot), slot=link.slot)
            try:
                report = await link.launch(request)
            except ValueError as error:
                self._pool.give_back(link)
                raise InvalidArgument(f"argv or env: {error}", obj="argv") from None
            # A launcher that ends before it has forked a monitor leaves a launch that nobody has seen.
            if report is not None or link.began:
                return link, report
        raise _no_launcher("it keeps ending")

    async def _alive_launcher(self) -> LauncherLink:
        async with self._spawning:
            if self._closed:
                raise Unavailable("the supervisor is closed")
            if self._launcher is not None and self._launcher.alive:
                return self._launcher
            loop = asyncio.get_running_loop()
            if loop.time() < self._rest_until:
                raise _no_launcher("it keeps ending")
            for _ in range(_SPAWNS_IN_A_ROW):
                await asyncio.sleep(self._pause())
                launcher = LauncherLink(self._on_death)
                try:
                    await launcher.open()
                except (OSError, TimeoutError) as error:
                    self._deaths += 1
                    reason = str(error)
                else:
                    if launcher.alive:
                        self._launcher = launcher
                        return launcher
                    self._deaths += 1
                    reason = "it has ended"
            self._rest_until = loop.time() + _REST
            raise _no_launcher(reason)

    def _pause(self) -> float:
        """Return how many seconds to wait before the next launcher: none after the first death in a row."""
        return 0.0 if self._deaths < 2 else min(_FIRST_PAUSE * 2.0 ** min(self._deaths - 2, 16), _LONGEST_PAUSE)

    def _monitor_began(self) -> None:
        self._deaths = 0

    def _on_death(self, launcher: LauncherLink) -> None:
        if launcher is self._launcher and not self._closed:
            self._deaths += 1
            self._spawn_task(self._replace(launcher))

    async def _replace(self, launcher: LauncherLink) -> None:
        await launcher.reap()
        with contextlib.suppress(Unavailable):
            await self._alive_launcher()
            self._pool.fill()

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _no_launcher(reason: str) -> Unavailable:
    return Unavailable(f"the launcher can't be started: {reason}", obj="launcher", hint="try again in some seconds")


def _error(request: LaunchRequest, report: Report) -> JschedError:
    step = report.failed_step or "monitor"
    number = report.errno or 0
    job_id = request.job_id
    # Each step's thing, and whose fault it is: the caller chose the command and its directory, the rest is the host's.
    blame: dict[str, tuple[type[JschedError], str, str]] = {
        "exec": (StartFailed, f"cannot execute {request.argv[0]!r}", request.argv[0]),
        "workdir": (StartFailed, f"working directory {request.workdir}", request.workdir),
        "start": (StartFailed, f"start of {request.argv[0]!r}", request.argv[0]),
        "bind": (StartFailed, "a bind can't be made", "binds"),
        "sources": (StartFailed, "what is to be bound, or the root file system", "binds"),
        "log": (FailedPrecondition, f"log file {request.log_path}", request.log_path),
        "cgroup": (FailedPrecondition, f"cgroup of job {job_id}", job_id),
        "record": (Internal, f"run record of job {job_id}", job_id),
        "fork": (Internal, f"cannot create a process for job {job_id}", job_id),
    }
    kind, thing, obj = blame.get(step, (Internal, f"step {step!r} of job {job_id}", job_id))
    message = f"{thing}: {os.strerror(number)}"
    if number in _SHORT_OF:
        return ResourceExhausted(message, obj=obj)
    if kind is StartFailed:
        return StartFailed(message, step=step, errno=number, job_id=job_id, obj=obj)
    return kind(message, obj=obj, hint="an administrator of the host has to look at it")
