"""The process that is PID 1 of a job's namespaces.

Who starts me: the job's monitor, by clone.
What I own: every process of the job, because the kernel kills all that is in a PID namespace with its PID 1.
When I end: when the command has ended, a step has failed, or the monitor ends (PDEATHSIG).
What outlives me: nothing.

Once the command runs I hold one pipe to the monitor and nothing else, and I have all its walls around me.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from typing import NoReturn

from jsched.isolation import order, plan, surroundings
from jsched.isolation.reports import ENDED, FAILED, READY, STARTED, encode
from jsched.isolation.site import Site
from jsched.linux import syscalls
from jsched.linux.spawn import Spawner

EXIT_STATUS = 127

# What someone who stops a job may send; the command has not asked for the rest, and PID 1 ignores it.
FORWARDED = frozenset(
    {
        signal.SIGTERM,
        signal.SIGCONT,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }
)
# What monitors and Python ignore.
_SPAWNER = Spawner((signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ))
_STDIO = (0, 1, 2)
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(site: Site) -> NoReturn:
    """Build the walls, start the command and wait for it, telling the monitor each of it through `site.reports`."""
    name = "init"
    number = errno.ENOTRECOVERABLE
    try:
        syscalls.prctl_set_name("jsched-init")
        for step in plan.WALLS:
            if step.applies(site.sandbox):
                name = step.name
                step.take(site)
        if site.command is None:
            name = "order"
            os.write(site.reports, encode(READY))
            _rehearse()
            order.receive(site)
            name = "cgroup"
            surroundings.join_cgroup(site)
        for step in plan.LAST_STEPS:
            name = step.name
            step.take(site)
        name = "exec"
        command = _start(site)
        name = "init"
        os.write(site.reports, encode(STARTED))
        for fd in _STDIO:
            os.close(fd)
        status = _wait(command)
        os.write(site.reports, encode(ENDED, status))
        os._exit(0)
    except OSError as error:
        number = error.errno or number
    except ValueError:
        number = errno.EINVAL
    except MemoryError:
        number = errno.ENOMEM
    finally:
        # Whatever happened, the forked interpreter must not go on, nor print into the job's log: also if
        # nobody is there any more to be told.
        try:
            os.write(site.reports, encode(FAILED, name, number))
        finally:
            os._exit(EXIT_STATUS)


def _rehearse() -> None:
    """Start what can't be executed: the pages that a start writes to are copied now, while nobody waits for it."""
    with contextlib.suppress(OSError):
        _SPAWNER.spawn(b"/", (b"/",), (), _STDIO)


def _start(site: Site) -> int:
    """Start the command in a session of its own, with every signal at its default and none blocked."""
    asked = site.known_command()
    argv = [os.fsencode(argument) for argument in asked.argv]
    env = [os.fsencode(f"{name}={value}") for name, value in asked.env.items()]
    return _SPAWNER.spawn_command(argv, env, os.fsencode(asked.env.get("PATH", _DEFAULT_PATH)), _STDIO)


def _wait(command: int) -> int:
    """Reap whatever ends, forward what arrives, and return the command's wait status when it has ended."""
    awaited = FORWARDED | {signal.SIGCHLD}
    while True:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            _forward(command, number)
            continue
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == command:
                return status
            if pid == 0:
                break


def _forward(command: int, number: int) -> None:
    # The command is there until it is reaped, but may have left its group, or become another user.
    for send in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            send(command, number)
            return
