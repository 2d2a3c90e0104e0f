"""An init that is forked ahead of its job: the walls are no part of the job's start any more."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
from collections.abc import Sequence

from jsched.isolation import order
from jsched.isolation.reports import Reports
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.start import Started, StepFailed, fork_init


def try_walls(sandbox: Sandbox) -> tuple[str, int] | None:
    """Build the walls, and take them down again; return the step that failed and its errno, None if all stand.

    For a process with one thread. It takes some milliseconds.
    """
    try:
        spare = Spare(sandbox)
    except StepFailed as failure:
        return failure.step, failure.errno or errno.EIO
    try:
        reports = spare.wait_until_ready()
    finally:
        spare.close()
    if reports.ready:
        return None
    # Killed without a word: by the kernel, for want of memory, or by somebody.
    return reports.failed_step or "init", reports.errno or errno.ESRCH


class Spare:
    """Builds its walls at once and then waits for a command.

    Whoever waits for any child gets its pid too, should it end early. It is used with start(), once, or ended
    with close(). Until then it keeps the file systems busy that were mounted when it was forked.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Fork it; raises StepFailed. A step that fails later is told through `Started.reports`."""
        self.sandbox = sandbox
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._orders, theirs = socket.socketpair()
        try:
            self._started = fork_init(sandbox, orders=theirs.fileno())
        except BaseException:
            self._orders.close()
            os.close(self._mounts)
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Init's pid."""
        return self._started.pid

    def wait_until_ready(self) -> Reports:
        """Wait until the walls are up, or one has failed, or init is gone, and return what was told."""
        return Reports().read(self._started.reports)

    def fits(self, sandbox: Sandbox) -> bool:
        """Return whether its walls are those of `sandbox`, and the host's mounts are what they were."""
        poller = select.poll()
        # The kernel tells of a change as an error and urgent data, proc_pid_mounts(5).
        poller.register(self._mounts, select.POLLPRI)
        return self.sandbox == sandbox and not poller.poll(0)

    def start(self, command: Command, log: int, *, tasks: Sequence[int] = ()) -> Started:
        """Hand it the command, as to start.start(); raises OSError if it is gone, and it has to be closed then."""
        order.send(self._orders, command, log, tasks)
        os.close(self._mounts)
        return self._started

    def close(self) -> None:
        """End it and all that is in its namespaces, and reap it."""
        self._orders.close()
        os.close(self._mounts)
        os.close(self._started.reports)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
