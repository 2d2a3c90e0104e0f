"""The steps between fork and exec, in the order in which they are taken.

Who starts me: the job's monitor, by fork.
What I own: nothing; I become the command.
When I end: at exec, at the first step that fails, or when the monitor ends before it opens the gate.
What outlives me: the command, which has my pid.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from jsched.linux import syscalls
from jsched.supervisor.wire import LaunchRequest

EXIT_STATUS = 127

# All that launcher and monitor ignore; the launcher has set the rest to the default.
IGNORED_BY_LAUNCHER = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)

_UMASK = 0o022


class Child(NamedTuple):
    """What the steps need: the request, and descriptors made by the monitor."""

    request: LaunchRequest
    monitor_pid: int
    log: int
    gate: int
    result: int


class Step(NamedTuple):
    """One step: the name by which a failure is told, and what it does."""

    name: str
    take: Callable[[Child], None]


def run(child: Child) -> NoReturn:
    """Take every step; the first that fails is told as "step errno" through `child.result`."""
    name = "child"
    number = errno.ENOTRECOVERABLE
    try:
        for step in STEPS:
            name = step.name
            step.take(child)
    except OSError as error:
        number = error.errno or number
    except ValueError:
        number = errno.EINVAL
    except MemoryError:
        number = errno.ENOMEM
    finally:
        # Whatever happened, the forked interpreter must not go on, nor print into the job's log.
        os.write(child.result, f"{name} {number}".encode())
        os._exit(EXIT_STATUS)


def parse_result(result: bytes) -> tuple[str, int] | None:
    """Return the step that failed and its errno; None for an empty result: exec has succeeded."""
    if not result:
        return None
    name, number = result.decode().split()
    return name, int(number)


def _session(child: Child) -> None:
    os.setsid()


def _stdio(child: Child) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    os.dup2(child.log, 1)
    os.dup2(child.log, 2)


def _signals(child: Child) -> None:
    # exec hands on what is ignored; everything else it sets to the default by itself.
    for number in IGNORED_BY_LAUNCHER:
        signal.signal(number, signal.SIG_DFL)
    syscalls.unblock_all_signals()


def _pdeathsig(child: Child) -> None:
    syscalls.prctl_set_pdeathsig(signal.SIGKILL)
    if os.getppid() != child.monitor_pid:
        os._exit(EXIT_STATUS)


def _umask(child: Child) -> None:
    os.umask(_UMASK)


def _gate(child: Child) -> None:
    if not os.read(child.gate, 1):
        os._exit(EXIT_STATUS)


def _workdir(child: Child) -> None:
    os.chdir(child.request.workdir.encode())


def _descriptors(child: Child) -> None:
    syscalls.close_range(3, child.result - 1)
    syscalls.close_range(child.result + 1, syscalls.LAST_DESCRIPTOR)


def _exec(child: Child) -> None:
    argv = [argument.encode() for argument in child.request.argv]
    env = {name.encode(): value.encode() for name, value in child.request.env.items()}
    os.execvpe(argv[0], argv, env)  # noqa: S606 no shell is the point


STEPS = (
    Step("session", _session),
    Step("stdio", _stdio),
    Step("signals", _signals),
    Step("pdeathsig", _pdeathsig),
    Step("umask", _umask),
    Step("gate", _gate),
    Step("workdir", _workdir),
    Step("descriptors", _descriptors),
    Step("exec", _exec),
)
