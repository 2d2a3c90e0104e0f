"""Executing a job's command behind walls: init builds them, and starts it."""

from __future__ import annotations

import errno
import os
import select

from jsched.isolation import start
from jsched.isolation.cgroup import Cgroup
from jsched.isolation.init_process import InitProcess
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.spare import Spare
from jsched.supervisor.steps import StepFailed, step
from jsched.supervisor.stopping import now
from jsched.supervisor.wire import LaunchRequest


def execute(
    request: LaunchRequest, sandbox: Sandbox, log: int, cgroup: Cgroup | None, spare: Spare | None
) -> InitProcess:
    """Return init once it has executed the command; raises StepFailed, and then there is no process.

    Init is in the cgroup, if there is one. It is the spare, if there is one that still lives.
    """
    try:
        entrances = [] if cgroup is None else step("cgroup", cgroup.entrances)
        into = None if cgroup is None else step("cgroup", cgroup.into_fd)
    except StepFailed:
        if spare is not None:
            spare.close()
        raise
    command = Command(request.argv, request.env, request.workdir)
    try:
        init = _use(spare, command, log, entrances, request.start_timeout) or start.start(
            sandbox, command, log, tasks=entrances, cgroup=into, seconds=request.start_timeout
        )
        _wait_until_started(init, request.start_timeout)
    finally:
        for fd in (*entrances, *(() if into is None else (into,))):
            os.close(fd)
    return init


def _wait_until_started(init: InitProcess, seconds: float) -> None:
    """Wait for the command; a file system that does not answer must not hold the monitor for ever."""
    poller = select.poll()
    poller.register(init, select.POLLIN)
    deadline = now() + seconds
    while not init.started:
        if not poller.poll(max(0.0, deadline - now()) * 1000):
            init.kill()
            raise StepFailed("start", errno.ETIMEDOUT)
        init.hear()


def _use(spare: Spare | None, command: Command, log: int, entrances: list[int], seconds: float) -> InitProcess | None:
    if spare is None:
        return None
    try:
        return spare.start(command, log, tasks=entrances, seconds=seconds)
    except OSError:
        spare.close()
        return None
