"""The server's end: start jobs through a launcher that may die, and ask monitors to stop them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import threading
from collections.abc import Coroutine, Mapping, Sequence
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
from jsched.supervisor import record
from jsched.supervisor.link import Launch, Link
from jsched.supervisor.record import RunRecord
from jsched.supervisor.wire import LaunchRequest, Report

_SPAWNS_IN_A_ROW = 5
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_REST = 5.0
_MOST_LAUNCHERS = 16
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
        self._link: Link | None = None
        self._open_links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._spawning = asyncio.Lock()
        self._stop_writer = threading.Lock()
        self._deaths = 0
        self._rest_until = 0.0
        self._closed = False

    @property
    def launcher_pid(self) -> int | None:
        """The process id of the launcher, or None while there is none."""
        return self._link.pid if self._link is not None else None

    async def open(self) -> None:
        """Start the launcher; raises Unavailable if that can't be done."""
        await self._alive_link()

    async def close(self) -> None:
        """End the launcher; jobs go on. Launches that nobody has begun fail with Unavailable."""
        self._closed = True
        async with self._spawning:
            links = set(self._open_links)
        await asyncio.gather(*(link.close() for link in links))
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
    ) -> RunRecord:
        """Start a job and return when its command was executed; `env` is its whole environment, paths are absolute.

        Raises StartFailed naming the step; ResourceExhausted if the host is short of something;
        Unavailable if no launcher can be had, Internal if the monitor was killed: after each of
        them nothing was started, nor will be. If the monitor was killed when it had already let
        the command go, the run record is returned: how the job ended, nobody knows then. A
        launch that is cancelled may still take place.
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
        )
        launch = Launch(request, asyncio.get_running_loop().create_future())
        await self._send(launch)
        report = await launch.answer
        run = report.run
        if report.failed_step == "monitor":
            run = await asyncio.to_thread(record.read_run, self._runs_dir, job_id)
        if run is None:
            raise _error(request, report)
        return run

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

    async def _send(self, launch: Launch) -> None:
        link = await self._alive_link()
        try:
            link.send(launch)
        except ValueError as error:
            raise InvalidArgument(f"argv or env: {error}", obj="argv") from None

    async def _alive_link(self) -> Link:
        async with self._spawning:
            if self._closed:
                raise Unavailable("the supervisor is closed")
            if self._link is not None and self._link.alive:
                return self._link
            loop = asyncio.get_running_loop()
            if loop.time() < self._rest_until:
                raise _no_launcher("it keeps ending")
            for _ in range(_SPAWNS_IN_A_ROW):
                await asyncio.sleep(self._pause())
                link = Link(self._on_death, self._on_end)
                try:
                    await link.open()
                except (OSError, TimeoutError) as error:
                    self._deaths += 1
                    reason = str(error)
                else:
                    if link.alive:
                        self._link = link
                        self._open_links.add(link)
                        return link
                    self._deaths += 1
                    reason = "it has ended"
            self._rest_until = loop.time() + _REST
            raise _no_launcher(reason)

    def _pause(self) -> float:
        """Return how many seconds to wait before the next launcher: none after the first death in a row."""
        return 0.0 if self._deaths < 2 else min(_FIRST_PAUSE * 2.0 ** min(self._deaths - 2, 16), _LONGEST_PAUSE)

    def _on_death(self, link: Link) -> None:
        if link is not self._link:
            return
        self._deaths = 1 if link.has_reported else self._deaths + 1
        if not self._closed:
            self._spawn_task(self._replace(link))

    def _on_end(self, link: Link, left: list[Launch]) -> None:
        self._open_links.discard(link)
        for launch in left:
            if launch.answer.done():
                continue
            if self._closed or launch.sent >= _MOST_LAUNCHERS:
                launch.answer.set_exception(_no_launcher("it has ended"))
            else:
                self._spawn_task(self._send_again(launch))

    async def _replace(self, link: Link) -> None:
        await link.reap()
        with contextlib.suppress(Unavailable):
            await self._alive_link()

    async def _send_again(self, launch: Launch) -> None:
        try:
            await self._send(launch)
        except JschedError as error:
            if not launch.answer.done():
                launch.answer.set_exception(error)

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
    if step == "monitor":
        return Internal(f"the monitor of job {job_id} has ended before the command was executed", obj=job_id)
    # Each step's thing, and whose fault it is: the caller chose the command and its directory, the rest is the host's.
    blame: dict[str, tuple[type[JschedError], str, str]] = {
        "exec": (StartFailed, f"cannot execute {request.argv[0]!r}", request.argv[0]),
        "workdir": (StartFailed, f"working directory {request.workdir}", request.workdir),
        "log": (FailedPrecondition, f"log file {request.log_path}", request.log_path),
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
