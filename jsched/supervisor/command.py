"""Executing a job's command.

Who starts me: the job's monitor. There is no process of mine: posix_spawn(3) makes the command's.
What I own: nothing.
When I end: when the command is executed, or with the first step that fails.
What outlives me: the command.
"""

from __future__ import annotations

import os
import signal

from jsched.linux.spawn import Spawner
from jsched.supervisor.steps import step
from jsched.supervisor.wire import LaunchRequest

# All that launcher and monitors ignore; the launcher has set the rest to the default.
IGNORED_BY_MONITORS = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)

_UMASK = 0o022
_SPAWNER = Spawner(IGNORED_BY_MONITORS)


def execute(request: LaunchRequest, null: int, log: int) -> int:
    """Execute the command and return its process id; its stdin is `null`, its stdout and stderr `log`.

    Working directory and umask of this process are the command's for a moment, so that a bad
    directory is a step of its own. Raises StepFailed; then there is no process.
    """
    umask = os.umask(_UMASK)
    try:
        step("workdir", os.chdir, request.workdir.encode())
        return step("exec", _execute, request, (null, log, log))
    finally:
        os.chdir("/")
        os.umask(umask)


def _execute(request: LaunchRequest, stdio: tuple[int, int, int]) -> int:
    argv = [argument.encode() for argument in request.argv]
    env = [f"{name}={value}".encode() for name, value in request.env.items()]
    return _SPAWNER.spawn_command(argv, env, request.env.get("PATH", os.defpath).encode(), stdio)
