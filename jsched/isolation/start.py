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
from collections.abc import Iterator, Sequence

from jsched.isolation import init, mounts, owners
from jsched.isolation.init_process import InitProcess, StepFailed
from jsched.isolation.sandbox import NONE, Sandbox
from jsched.isolation.site import CLOSED, Command, Site
from jsched.linux import namespaces

_NAMESPACES = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID | namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWUTS


def start(
    sandbox: Sandbox, command: Command, log: int, *, tasks: Sequence[int] = (), cgroup: int | None = None
) -> InitProcess:
    """Fork init, which builds the walls and then starts the command; return before it has.

    `log` becomes the command's standard output and error. The cgroup to be in is given by descriptors: of its
    `tasks` files in version 1, of its directory in version 2. Raises StepFailed, with nothing left behind.
    """
    return fork_init(sandbox, command, log, tasks, cgroup)


def fork_init(
    sandbox: Sandbox,
    command: Command | None = None,
    log: int = CLOSED,
    tasks: Sequence[int] = (),
    cgroup: int | None = None,
    orders: int = CLOSED,
) -> InitProcess:
    """Fork init with a command, or with a socket that its command will come through; see start() and Spare."""
    with contextlib.ExitStack() as cleanup:
        with _step("seccomp"):
            program = _program(sandbox.seccomp) if sandbox.seccomp else b""
        with _step("clone"):
            reports, told = os.pipe()
            cleanup.callback(os.close, told)
            gate, opener = os.pipe()
            cleanup.callback(os.close, gate)
            cleanup.callback(os.close, opener)
        site = Site(sandbox, reports=told, gate=gate, seccomp=program)
        site.command, site.log, site.tasks, site.orders = command, log, tuple(tasks), orders
        try:
            _open_sources(site, cleanup)
            pid = _fork(site, cgroup)
            try:
                _admit(site, pid, opener)
            except BaseException:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
        except BaseException:
            os.close(reports)
            raise
    return InitProcess(pid, reports)


def _open_sources(site: Site, cleanup: contextlib.ExitStack) -> None:
    """Open what only the monitor may open, if it is root: init will be nobody on the host."""
    if site.privileged:
        with _step("sources"):
            try:
                mounts.open_sources(site)
            finally:
                for fd in (site.tree, *site.sources):
                    if fd != CLOSED:
                        cleanup.callback(os.close, fd)


def _fork(site: Site, cgroup: int | None) -> int:
    flags = _NAMESPACES
    if site.sandbox.has_user_namespace:
        flags |= namespaces.CLONE_NEWUSER
    if site.sandbox.network == NONE:
        flags |= namespaces.CLONE_NEWNET
    with _step("clone"):
        pid = namespaces.fork_into(flags, cgroup)
    if pid == 0:
        init.run(site)
    return pid


def _admit(site: Site, pid: int, opener: int) -> None:
    """Give init its ids, and let it go."""
    sandbox = site.sandbox
    with _step("maps"):
        if sandbox.has_user_namespace:
            namespaces.write_id_maps(pid, sandbox.uid_map, sandbox.gid_map)
    if sandbox.has_user_namespace and site.privileged:
        with _step("owners"):
            owners.map_owners(site, pid)
    with _step("maps"):
        os.write(opener, b".")


# A name stands for one content: the server names the file by its digest.
@functools.lru_cache(maxsize=4)
def _program(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StepFailed(name, error.errno or errno.EIO) from error
