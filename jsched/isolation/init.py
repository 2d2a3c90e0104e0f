"""The process that is PID 1 of a job's namespaces.

Who starts me: the job's monitor, by clone, or its forker, as a child of the monitor.
What I own: every process of the job, because the kernel kills all that is in a PID namespace with its PID 1.
When I end: when the command has ended, a step has failed, or the monitor ends (PDEATHSIG).
What outlives me: nothing.

Once the command runs I hold one pipe to the monitor and nothing else, and I have all its walls around me.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
from typing import NoReturn

from jsched.isolation import plan
from jsched.isolation.launch import Launch
from jsched.isolation.reports import ENDED, FAILED, STARTED, encode
from jsched.isolation.room import Room
from jsched.isolation.site import Site
from jsched.linux import bare, syscalls
from jsched.linux.prepared import Failed

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


@functools.cache
def prepare_launch() -> Launch:
    """Return the memory that every init of this process starts its command from."""
    return Launch(FORWARDED | {signal.SIGCHLD}, encode(STARTED))


def run(site: Site, room: Room, launch: Launch, *, behind: bool = False) -> NoReturn:
    """Build the walls, start the command and wait for it, telling the monitor each of it through `site.reports`.

    An init that is `behind` the common walls already, because it was forked there, builds the rest.
    """
    name = "init"
    number = errno.ENOTRECOVERABLE
    try:
        room.calls.set(room.reports, site.reports)
        if behind:
            room.calls.make("fresh")
        else:
            syscalls.prctl_set_name("jsched-init")
            for step in plan.COMMON:
                if step.applies(site.sandbox):
                    name = step.name
                    step.take(site)
            _hand_over(site, room)
        room.calls.make("inner")
        if not behind:
            for step in plan.PLACED:
                if step.applies(site.sandbox):
                    name = step.name
                    step.take(site)
        room.calls.make("locks")
        name = "init"
        if launch.receive(site):
            room.calls.make("last")
            _serve(site, launch)
        # A monitor that does without its spare has closed the socket.
        bare.exit_group(0)
    except Failed as failure:
        name, number = failure.step, failure.number
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


def _hand_over(site: Site, room: Room) -> None:
    """Give the prepared calls what the common steps have made."""
    room.calls.set(room.root, site.root)
    room.calls.set(room.furniture, site.furniture)
    room.calls.set(room.scratch, site.scratch)


def _serve(site: Site, launch: Launch) -> None:
    """Start the command and wait for its end."""
    launch.enter_workdir(site)
    launch.set_stdio(site)
    launch.close_descriptors(site)
    command = launch.execute(site)
    launch.tell_started(site)
    status = _wait(launch, command)
    os.write(site.reports, encode(ENDED, status))


def _wait(launch: Launch, command: int) -> int:
    """Reap whatever ends, forward what arrives, and return the command's wait status when it has ended."""
    while True:
        number = launch.wait_for_signal()
        if number != signal.SIGCHLD:
            _forward(command, number)
            continue
        while True:
            pid, status = launch.reap()
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
