"""The process that forks monitors.

Who starts me: the server, which speaks to me through two inherited sockets; see wire.
What I own: nothing but the monitors' zombies; if I am killed, the server starts another.
When I end: when the server is gone, or has closed its end of the requests.
What outlives me: every monitor and its job.

It is single-threaded and imports little, so that its forks are cheap and safe.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import sys

from jsched.linux import process, syscalls
from jsched.supervisor import child, ending, monitor, wire
from jsched.supervisor.wire import LaunchRequest, Report

_READ_SIZE = 65536
_OF_THE_C_LIBRARY = (32, 33)


def main(requests: int, reports: int) -> None:
    """Serve the requests until their end; both arguments are inherited descriptors."""
    requests, reports = _settle(requests, reports)
    # Asked here, it is known in every monitor.
    process.boot_id()
    # What lives now lives in every monitor: a collection would copy its pages for nothing.
    gc.disable()
    gc.collect()
    gc.freeze()
    Launcher(requests, reports).serve()


class Launcher:
    """Forks a monitor for each request, and reaps them."""

    def __init__(self, requests: int, reports: int) -> None:
        self._requests = requests
        self._reports = reports
        # Blocked for good, so each monitor is born with it blocked and misses no child's end.
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGCHLD})
        self._signals = syscalls.signalfd((signal.SIGCHLD,))
        self._monitors: dict[int, str] = {}

    def serve(self) -> None:
        """Launch what is asked for until the server closes the requests."""
        reader = wire.RequestReader()
        poller = select.poll()
        poller.register(self._requests, select.POLLIN)
        poller.register(self._signals, select.POLLIN)
        self._tell(wire.READY)
        while True:
            for fd, _ in poller.poll():
                if fd == self._signals:
                    syscalls.read_signalfd(self._signals)
                    self._reap()
                    continue
                data = _read(self._requests)
                if not data:
                    return
                for request in reader.feed(data):
                    self._launch(request)

    def _launch(self, request: LaunchRequest) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            number = error.errno or errno.EAGAIN
            ending.write_failed_start(request, "fork", number, claimed=False)
            self._tell(Report(request.job_id, failed_step="fork", errno=number))
            return
        if pid == 0:
            monitor.main(request, self._reports)
        # The request would be kept in memory as long as the job runs.
        self._monitors[pid] = request.job_id

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            job_id = self._monitors.pop(pid, None)
            if status != 0 and job_id is not None:
                # Told and not written down: the job may have run, ended and been forgotten by now.
                self._tell(Report(job_id, failed_step="monitor", errno=errno.ESRCH))

    def _tell(self, report: Report) -> None:
        poller = select.poll()
        poller.register(self._reports, select.POLLOUT)
        while not wire.send_report(self._reports, report):
            poller.poll()


def _settle(requests: int, reports: int) -> tuple[int, int]:
    """Keep nothing of the server's but the two sockets, as low close-on-exec descriptors, and stderr."""
    for fd in range(3):
        # Closed standard streams of the server would give their numbers to files.
        with contextlib.suppress(OSError):
            os.fstat(fd)
            continue
        os.open(os.devnull, os.O_RDWR)
    first, second = sorted((requests, reports))
    syscalls.close_range(3, first - 1)
    syscalls.close_range(first + 1, second - 1)
    syscalls.close_range(second + 1, syscalls.LAST_DESCRIPTOR)
    settled = os.dup(requests), os.dup(reports)
    os.close(requests)
    os.close(reports)
    # Python ignores SIGPIPE and SIGXFSZ, the server may have inherited more.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in child.IGNORED_BY_LAUNCHER else signal.SIG_DFL)
    # glibc's posix_spawn() leaves its own two ignored in what it starts: a server run by make hands them on.
    for own in _OF_THE_C_LIBRARY:
        syscalls.rt_sigaction_default(own)
    syscalls.prctl_set_name("jsched-launcher")
    os.chdir("/")
    os.umask(0o077)
    return settled


def _read(requests: int) -> bytes:
    try:
        return os.read(requests, _READ_SIZE)
    except ConnectionResetError:
        return b""


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
