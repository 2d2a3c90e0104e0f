"""An init that is forked ahead of its job: the walls are no part of the job's start any more."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Sequence

from jsched.isolation import order
from jsched.isolation.init_process import InitProcess, StepFailed
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.start import fork_init


def try_walls(sandbox: Sandbox) -> tuple[str, int] | None:
    """Build the walls, and take them down again; return the step that failed and its errno, None if all stand.

    For a process with one thread. It takes some milliseconds.
    """
    try:
        spare = Spare(sandbox)
        spare.wait_until_ready()
    except StepFailed as failure:
        return failure.step, failure.number
    spare.close()
    return None


class Spare:
    """Builds its walls at once and then waits for a command.

    Whoever waits for any child gets its pid too, should it end early. It is used with start(), once, or ended
    with close(). Until then it keeps the file systems busy that were mounted when it was forked.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Fork it; raises StepFailed, and so may InitProcess.wait_until_started() for a wall that fails later."""
        self.sandbox = sandbox
        self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._orders, theirs = socket.socketpair()
        try:
            self._init = fork_init(sandbox, orders=theirs.fileno())
        except BaseException:
            self._orders.close()
            os.close(self._mounts)
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Init's pid."""
        return self._init.pid

    def wait_until_ready(self) -> None:
        """Wait until the walls are up; raises StepFailed, with nothing left, if they are not."""
        try:
            self._init.wait_until_ready()
        except StepFailed:
            self._forget()
            raise

    def fits(self, sandbox: Sandbox) -> bool:
        """Return whether its walls are those of `sandbox`, and the host's mounts are what they were."""
        poller = select.poll()
        # The kernel tells of a change as an error and urgent data, proc_pid_mounts(5).
        poller.register(self._mounts, select.POLLPRI)
        return self.sandbox == sandbox and not poller.poll(0)

    def start(self, command: Command, log: int, *, tasks: Sequence[int] = ()) -> InitProcess:
        """Hand it the command, as to start.start(); raises OSError if it is gone, and it has to be closed then."""
        order.send(self._orders, command, log, tasks)
        os.close(self._mounts)
        return self._init

    def close(self) -> None:
        """End it and all that is in its namespaces, and reap it."""
        self._forget()
        self._init.kill()

    def _forget(self) -> None:
        self._orders.close()
        os.close(self._mounts)
