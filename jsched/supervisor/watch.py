"""One job's life in its monitor, from the log file to the exit record."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import signal
import time
from typing import NamedTuple

from jsched.isolation import cgroup_v1, cgroup_v2  # noqa: F401 imported here, they are there in every monitor
from jsched.isolation.cgroup import Cgroup, from_plan
from jsched.isolation.cgroup_plan import CgroupUsage
from jsched.isolation.forker_process import Forker
from jsched.isolation.init_process import InitProcess
from jsched.isolation.spare import Spare
from jsched.linux import file_attributes, process, syscalls
from jsched.supervisor import command, ending, logfile, record, walled, wire
from jsched.supervisor.ending import Usage
from jsched.supervisor.exit_room import ExitRoom
from jsched.supervisor.steps import StepFailed, step
from jsched.supervisor.stopping import Stopping, now
from jsched.supervisor.tree import kill_tree
from jsched.supervisor.wire import LaunchRequest, Report

_LONGEST_POLL = 3600.0
_SHORTEST_PAUSE = 0.01
_LONGEST_PAUSE = 1.0
# Most jobs of which a server loses sight run longer than this, and a file less is a file less.
_NOTE_AFTER = 0.1


class Monitor(NamedTuple):
    """The process that watches, for all its jobs: who it is, and its descriptors (`null` reads from /dev/null).

    `room` is for the exit record of the job that it has.
    """

    pid: int
    start: int
    link: int
    signals: int
    null: int
    room: ExitRoom


class Watch:
    """A monitor's work for one job; run() is the table of contents. Times are seconds of now().

    `spare` is an init whose walls are those of the request; `forker` is the child that is none of the job's.
    """

    def __init__(
        self, monitor: Monitor, request: LaunchRequest, spare: Spare | None = None, forker: Forker | None = None
    ) -> None:
        self._monitor = monitor
        self._request = request
        self._spare = spare
        self._forker = forker
        self._run: record.RunRecord | None = None
        self._failure: tuple[str, int] | None = None
        self._status: int | None = None
        self._usage = Usage()
        self._cgroup: Cgroup | None = None
        self._log: int | None = None
        self._main = 0
        self._init: InitProcess | None = None
        self._used: CgroupUsage | None = None
        self._childless = False
        self._started = 0.0
        self._ended = 0.0
        self._note_at = math.inf
        self._stopping = Stopping(0, 0.0, None)

    @property
    def is_caught(self) -> bool:
        """Whether this process is in the job's cgroup and can't get out.

        Then whoever kills or freezes that has this process too, and a later job would be counted in it.
        """
        return self._cgroup is not None and self._cgroup.is_caught

    def run(self) -> None:
        """Start, watch, sweep, record."""
        try:
            self._start()
            while self._status is None:
                self._wait()
        except StepFailed as failure:
            self._failure = (failure.step, failure.number)
        except Exception as defect:  # noqa: BLE001 the tree must not be left alone
            ending.complain(self._request.job_id, defect)
        self._end_spare()
        self._sweep()
        self._clear_cgroup()
        logfile.finish(self._log)
        self._record()

    # Start: the run record stands before the command is executed.

    def _start(self) -> None:
        request = self._request
        self._log = step("log", logfile.create, request.log_path, request.log_gid)
        self._started = now()
        step("record", self._monitor.room.have, request.exits_dir)
        self._run = step("record", _write_run, request, self._monitor)
        self._execute(self._log)
        self._stopping = Stopping(self._main, request.grace, request.timeout)
        pid, pid_start = self._command()
        self._run = self._run._replace(pid=pid, pid_start=pid_start)
        wire.send_report(self._monitor.link, Report(request.job_id, run=self._run))
        self._note_at = now() + _NOTE_AFTER

    def _execute(self, log: int) -> None:
        """Execute the command where its limits hold and behind its walls."""
        if self._request.cgroup is not None:
            cgroup = from_plan(self._request.cgroup)
            step("cgroup", cgroup.make)
            self._cgroup = cgroup
        if self._request.sandbox is not None:
            spare, self._spare = self._spare, None
            self._init = walled.execute(self._request, self._request.sandbox, log, self._cgroup, spare)
            self._main = self._init.pid
            return
        if self._cgroup is None:
            self._main = command.execute(self._request, self._monitor.null, log)
            return
        step("cgroup", self._cgroup.enter)
        try:
            self._main = command.execute(self._request, self._monitor.null, log)
        finally:
            step("cgroup", self._cgroup.leave)

    def _command(self) -> tuple[int | None, int | None]:
        """Return the command's pid and start time; nothing of a walled one that init has reaped already."""
        pids = [self._main] if self._init is None else process.children(self._main)
        with contextlib.suppress(ProcessLookupError):
            return (pids[0], process.start_time(pids[0])) if pids else (None, None)
        return None, None

    # Watch: signals tell of the end of a child, and of a wish for the end of the job.

    def _wait(self) -> None:
        pause = min(max(0.0, min(self._stopping.next_at, self._note_at) - now()), _LONGEST_POLL)
        if select.select([self._monitor.signals], [], [], pause)[0]:
            self._take_signals()
        if self._status is None:
            self._stopping.enforce(self._kill)
            if self._note_at <= now():
                self._note_command()

    def _note_command(self) -> None:
        """Write down who the command is, for servers to come: the one that is here has been told."""
        self._note_at = math.inf
        if self._run is None:
            return
        try:
            record.update_run(self._request.runs_dir, self._run)
        except OSError as error:
            ending.complain(self._request.job_id, error)

    def _take_signals(self) -> None:
        if signal.SIGTERM in syscalls.read_signalfd(self._monitor.signals):
            self._stopping.request(record.read_stop(self._request.stops_dir, self._request.job_id))
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if pid == 0:
                self._childless = self._forker is not None and process.children(self._monitor.pid) == [self._forker.pid]
                return
            if self._forker is not None and pid == self._forker.pid:
                self._forker.ended()
                self._forker = None
                continue
            self._usage = self._usage.plus(usage)
            if pid == self._main:
                self._status = status if self._init is None else self._init.take_status(status)
                self._ended = now()

    def _kill(self) -> None:
        """Send SIGKILL to all that is there of the job."""
        if self._cgroup is not None and not self.is_caught:
            self._cgroup.kill()
        kill_tree(spared=None if self._forker is None else self._forker.pid)

    def _end_spare(self) -> None:
        """End the init that was ready, if the launch has failed before it was its turn."""
        if self._spare is not None:
            self._spare.close()

    def _sweep(self) -> None:
        """Kill and reap all that is left; what may not be signalled is waited for."""
        pause = _SHORTEST_PAUSE
        self._reap()
        while not self._childless:
            try:
                self._kill()
            except OSError as error:
                ending.complain(self._request.job_id, error)
            if select.select([self._monitor.signals], [], [], pause)[0]:
                syscalls.read_signalfd(self._monitor.signals)
            self._reap()
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _clear_cgroup(self) -> None:
        """Read what was used, and remove the cgroup: nobody is in it any more."""
        if self._cgroup is None:
            return
        try:
            self._used = self._cgroup.usage()
            if self.is_caught:
                self._cgroup.leave()
            self._cgroup.remove()
        except OSError as error:
            # A server that starts removes what is left.
            ending.complain(self._request.job_id, error)

    def _record(self) -> None:
        request = self._request
        if self._failure is None and self._run is not None and self._status is not None:
            end = ending.from_status(
                self._run,
                self._status,
                self._usage,
                self._used,
                seconds=self._ended - self._started,
                stopped=self._stopping.stopped,
                timed_out=self._stopping.timed_out,
                killed=self._stopping.killed,
            )
            ending.write(request.exits_dir, end, self._monitor.room)
            return
        name, number = self._failure or ("monitor", errno.ENOTRECOVERABLE)
        ending.write_failed_start(request, name, number, claimed=self._run is not None)
        wire.send_report(self._monitor.link, Report(request.job_id, failed_step=name, errno=number))


def _write_run(request: LaunchRequest, monitor: Monitor) -> record.RunRecord:
    run = record.RunRecord(
        job_id=request.job_id,
        boot_id=process.boot_id(),
        monitor_pid=monitor.pid,
        monitor_start=monitor.start,
        slot=request.slot,
        started_at_ns=time.time_ns(),
    )
    try:
        record.write_run(request.runs_dir, run)
    except FileExistsError:
        # A server that has found the job unstarted has forgotten it: nobody would delete the log.
        file_attributes.release(request.log_path)
        os.unlink(request.log_path.encode())
        raise
    return run
