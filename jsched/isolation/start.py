"""Starting a command behind its walls: the monitor's end.

The monitor has one thread and every signal blocked, and stays as it was: it forks init and writes the maps of
its user namespace, and everything else is init's.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from jsched.isolation import init, mounts, order, owners, plan, surroundings
from jsched.isolation.init import prepare_launch
from jsched.isolation.init_process import InitProcess, StepFailed
from jsched.isolation.launch import Launch
from jsched.isolation.room import Room
from jsched.isolation.sandbox import NONE, Sandbox
from jsched.isolation.site import CLOSED, Command, Site
from jsched.linux import namespaces
from jsched.linux.prepared import Failed

START_SECONDS = 30.0
_NAMESPACES = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWUTS


def start(
    sandbox: Sandbox,
    command: Command,
    log: int,
    *,
    tasks: Sequence[int] = (),
    cgroup: int | None = None,
    seconds: float = START_SECONDS,
) -> InitProcess:
    """Fork init, which builds the walls and then starts the command; return before it has.

    `log` becomes the command's standard output and error. The cgroup to be in is given by descriptors: of its
    `tasks` files in version 1, of its directory in version 2. Init has so many seconds to take the command.
    Raises StepFailed, with nothing left behind.
    """
    init, orders = fork_init(sandbox, tasks=tasks, cgroup=cgroup)
    try:
        order.send(orders, command, log, (), address=prepare_launch().address, seconds=seconds)
    except ConnectionError:
        # It has failed, and says so to whoever waits for it to have started.
        pass
    except TimeoutError as error:
        init.kill()
        raise StepFailed("start", errno.ETIMEDOUT) from error
    except OSError as error:
        init.kill()
        raise StepFailed("exec", error.errno or errno.EIO) from error
    return init


def fork_init(
    sandbox: Sandbox, *, tasks: Sequence[int] = (), cgroup: int | None = None
) -> tuple[InitProcess, socket.socket]:
    """Fork init; return it, and the socket that its command goes through. Raises StepFailed, with nothing left."""
    flags = _NAMESPACES | namespaces.CLONE_NEWPID | namespaces.CLONE_NEWIPC
    if sandbox.network == NONE:
        flags |= namespaces.CLONE_NEWNET
    return fork(sandbox, flags, init.run, tasks=tasks, cgroup=cgroup)


def fork(
    sandbox: Sandbox,
    flags: int,
    run: Callable[[Site, Room, Launch], NoReturn],
    *,
    tasks: Sequence[int] = (),
    cgroup: int | None = None,
) -> tuple[InitProcess, socket.socket]:
    """Fork a process of the sandbox into new namespaces, of which the user namespace gets its maps.

    It goes on in `run`. Returns it and the other end of its socket. Raises StepFailed, with nothing left behind.
    """
    room = _room(sandbox)
    launch = prepare_launch()
    with contextlib.ExitStack() as cleanup, contextlib.ExitStack() as undo:
        with step("clone"):
            reports, told = os.pipe()
            undo.callback(os.close, reports)
            cleanup.callback(os.close, told)
            gate, opener = os.pipe()
            cleanup.callback(os.close, gate)
            cleanup.callback(os.close, opener)
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            cleanup.callback(theirs.close)
        site = Site(sandbox, reports=told, gate=gate, orders=theirs.fileno())
        site.tasks = tuple(tasks)
        _open_sources(site, cleanup)
        surroundings.allow_core_limit()
        with step("clone"):
            pid = _clone(site, flags, cgroup)
        if pid == 0:
            run(site, room, launch)
        try:
            _admit(site, pid, opener)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        undo.pop_all()
    return InitProcess(pid, reports), ours


def _clone(site: Site, flags: int, cgroup: int | None) -> int:
    if not site.sandbox.has_user_namespace:
        return namespaces.fork_into(flags, cgroup)
    if not site.privileged:
        return namespaces.fork_into(flags | namespaces.CLONE_NEWUSER, cgroup)
    return namespaces.fork_for(site.sandbox.uid_map[0].outside, flags, cgroup)


def _open_sources(site: Site, cleanup: contextlib.ExitStack) -> None:
    """Open what only the monitor may open, if it is root: init will be nobody on the host."""
    if site.privileged:
        with step("sources"):
            try:
                mounts.open_sources(site)
            finally:
                for fd in (site.tree, *site.sources):
                    if fd != CLOSED:
                        cleanup.callback(os.close, fd)


def _admit(site: Site, pid: int, opener: int) -> None:
    """Give init its ids, and let it go."""
    sandbox = site.sandbox
    with step("maps"):
        if sandbox.has_user_namespace:
            namespaces.write_id_maps(pid, sandbox.uid_map, sandbox.gid_map)
    if sandbox.has_user_namespace and site.privileged:
        with step("owners"):
            owners.map_owners(site, pid)
    with step("maps"):
        os.write(opener, b".")


# A name stands for one content: the server names the file by its digest.
@functools.lru_cache(maxsize=4)
def _program(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@functools.lru_cache(maxsize=4)
def _room(sandbox: Sandbox) -> Room:
    with step("seccomp"):
        program = _program(sandbox.seccomp) if sandbox.seccomp else b""
    try:
        return plan.prepare(sandbox, program, privileged=os.geteuid() == 0)
    except Failed as failure:
        raise StepFailed(failure.step, failure.number) from failure


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Make an OSError the StepFailed of a step, or of the one that it names itself."""
    try:
        yield
    except Failed as failure:
        raise StepFailed(failure.step, failure.number) from failure
    except OSError as error:
        raise StepFailed(name, error.errno or errno.EIO) from error
