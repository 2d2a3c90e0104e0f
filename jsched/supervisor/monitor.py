"""The process that watches one job.

Who starts me: the launcher, by fork, one a job.
What I own: the job's process tree (I am its subreaper), runs/<id>, exits/<id>, the end of the job in time.
When I end: when the tree is gone and the exit record is written, or the start has failed and is reported.
What outlives me: nothing of the job; should I be killed, its main process is killed with me (PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from jsched.linux import process, syscalls
from jsched.supervisor import child, ending, record, wire
from jsched.supervisor.stopping import Stopping, now
from jsched.supervisor.tree import kill_tree
from jsched.supervisor.wire import LaunchRequest, Report

_LONGEST_POLL = 3600.0
_SHORTEST_PAUSE = 0.01
_LONGEST_PAUSE = 1.0
_LOG_MODE = 0o640

_T = TypeVar("_T")


class _StepFailed(Exception):
    def __init__(self, step: str, number: int) -> None:
        super().__init__(step, number)
        self.step = step
        self.number = number


def main(request: LaunchRequest, reports: int) -> NoReturn:
    """Run the job of one request from its start to its exit record; status 0 says that it was reported."""
    status = 1
    try:
        signals = _detach(reports)
        Monitor(request, reports, signals).run()
        status = 0
    except BaseException as defect:  # noqa: BLE001 a forked interpreter must end here
        ending.complain(request.job_id, defect)
    finally:
        os._exit(status)


class Monitor:
    """One job's life; run() is the table of contents. Times are seconds of now()."""

    def __init__(self, request: LaunchRequest, reports: int, signals: int) -> None:
        self._request = request
        self._reports = reports
        self._signals = signals
        self._poller = select.poll()
        self._poller.register(signals, select.POLLIN)
        self._run: record.RunRecord | None = None
        self._report: Report | None = None
        self._result: int | None = None
        self._failure: tuple[str, int] | None = None
        self._pid = 0
        self._status: int | None = None
        self._childless = False
        self._started = 0.0
        self._ended = 0.0
        self._stopping = Stopping(0, 0.0, None)

    def run(self) -> None:
        """Start, watch, sweep, record."""
        try:
            self._start()
            while self._status is None:
                self._wait()
        except _StepFailed as failure:
            self._failure = (failure.step, failure.number)
        except Exception as defect:  # noqa: BLE001 the tree must not be left alone
            ending.complain(self._request.job_id, defect)
        self._sweep()
        self._record()
        self._deliver_report()

    # Start: everything is ready, and the run record stands, before the gate opens.

    def _start(self) -> None:
        log = _step("log", _open_log, self._request)
        gate, opener = _step("fork", os.pipe)
        self._result, result = _step("fork", os.pipe)
        self._poller.register(self._result, select.POLLIN)
        monitor_pid = os.getpid()
        self._pid = _step("fork", os.fork)
        if self._pid == 0:
            # While an opener is left here too, the gate would never read as abandoned.
            os.close(opener)
            child.run(child.Child(self._request, monitor_pid, log, gate, result))
        for fd in (log, gate, result):
            os.close(fd)
        try:
            self._run = _step("record", self._write_run)
            # A child that has failed already has closed the gate; its result tells why.
            with contextlib.suppress(BrokenPipeError):
                os.write(opener, b".")
        finally:
            os.close(opener)
        self._stopping = Stopping(self._pid, self._request.grace, self._request.timeout)

    def _write_run(self) -> record.RunRecord:
        pid = os.getpid()
        self._started = now()
        run = record.RunRecord(
            job_id=self._request.job_id,
            boot_id=process.boot_id(),
            monitor_pid=pid,
            monitor_start=process.start_time(pid),
            pid=self._pid,
            started_at_ns=time.time_ns(),
        )
        try:
            record.write_run(self._request.runs_dir, run)
        except FileExistsError:
            # A server that has found the job unstarted has forgotten it: nobody would delete the log.
            os.unlink(self._request.log_path.encode())
            raise
        return run

    # Watch: one poll for signals, the result of exec and the report that is still to be sent.

    def _wait(self) -> None:
        pause = min(max(0.0, self._stopping.next_at - now()), _LONGEST_POLL)
        for fd, _ in self._poller.poll(pause * 1000):
            if fd == self._signals:
                self._take_signals()
            elif fd == self._result:
                self._take_result()
            elif fd == self._reports:
                self._send_report()
        if self._status is None:
            self._stopping.enforce()

    def _take_signals(self) -> None:
        if signal.SIGTERM in syscalls.read_signalfd(self._signals):
            self._stopping.request(record.read_stop(self._request.stops_dir, self._request.job_id))
        self._reap()

    def _take_result(self) -> None:
        if self._result is None or self._run is None:
            return
        self._failure = child.parse_result(os.read(self._result, 256))
        self._poller.unregister(self._result)
        os.close(self._result)
        self._result = None
        if self._failure is None:
            self._report = Report(self._request.job_id, run=self._run)
            self._send_report()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._status = status
                self._ended = now()
                self._take_result()

    def _sweep(self) -> None:
        """Kill and reap all that is left; what may not be signalled is waited for."""
        pause = _SHORTEST_PAUSE
        self._reap()
        while not self._childless:
            try:
                kill_tree()
            except OSError as error:
                ending.complain(self._request.job_id, error)
            if select.select([self._signals], [], [], pause)[0]:
                syscalls.read_signalfd(self._signals)
            self._reap()
            pause = min(2 * pause, _LONGEST_PAUSE)

    # Record and report.

    def _record(self) -> None:
        if self._run is None or self._status is None:
            self._failure = self._failure or ("monitor", errno.ENOTRECOVERABLE)
        if self._failure is not None:
            step, number = self._failure
            ending.write_failed_start(self._request, step, number, claimed=self._run is not None)
            self._report = Report(self._request.job_id, failed_step=step, errno=number)
        elif self._run is not None and self._status is not None:
            end = ending.from_status(
                self._run,
                self._status,
                seconds=self._ended - self._started,
                stopped=self._stopping.stopped,
                timed_out=self._stopping.timed_out,
                killed=self._stopping.killed,
            )
            ending.write(self._request.exits_dir, end)

    def _send_report(self) -> None:
        if self._report is None:
            return
        if wire.send_report(self._reports, self._report):
            with contextlib.suppress(KeyError):
                self._poller.unregister(self._reports)
            # The server takes the end of all reports to mean that no launch is under way.
            os.close(self._reports)
            self._report = None
        else:
            self._poller.register(self._reports, select.POLLOUT)

    def _deliver_report(self) -> None:
        poller = select.poll()
        poller.register(self._reports, select.POLLOUT)
        self._send_report()
        while self._report is not None:
            poller.poll()
            self._send_report()


def _detach(reports: int) -> int:
    """Leave the launcher's session and descriptors behind; return the descriptor that signals are read from."""
    # Nothing but SIGKILL and SIGSTOP reaches a monitor by itself: it looks for what it wants.
    syscalls.block_all_signals()
    os.setsid()
    syscalls.prctl_set_child_subreaper()
    syscalls.prctl_set_name("jsched-monitor")
    syscalls.close_range(3, reports - 1)
    syscalls.close_range(reports + 1, syscalls.LAST_DESCRIPTOR)
    return syscalls.signalfd((signal.SIGCHLD, signal.SIGTERM))


def _open_log(request: LaunchRequest) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(request.log_path.encode(), flags, _LOG_MODE)
    os.fchmod(log, _LOG_MODE)
    if request.log_gid is not None:
        os.fchown(log, -1, request.log_gid)
    return log


def _step(name: str, action: Callable[..., _T], *arguments: object) -> _T:
    try:
        return action(*arguments)
    except OSError as error:
        raise _StepFailed(name, error.errno or errno.EIO) from error
