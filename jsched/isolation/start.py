"""Starting a command behind its walls: the monitor's end."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

from jsched.isolation import init, mounts
from jsched.isolation.sandbox import NONE, Sandbox
from jsched.isolation.site import CLOSED, Command, Site
from jsched.linux import mount_api, namespaces

_NAMESPACES = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID | namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWUTS


class Started(NamedTuple):
    """Init: its pid, and the descriptor that reports.Reports.read() reads; both are the caller's now."""

    pid: int
    reports: int


class StepFailed(OSError):
    """A step on the monitor's side has failed: its name, and errno as in every OSError."""

    def __init__(self, step: str, error: OSError) -> None:
        super().__init__(error.errno, error.strerror)
        self.step = step


def start(sandbox: Sandbox, command: Command, log: int, *, cgroup: int | None = None) -> Started:
    """Fork init, which builds the walls and then starts the command; return before it has.

    `log` becomes the command's standard output and error; `cgroup` is a descriptor of the cgroup v2
    directory that init is born in. The caller has one thread and every signal blocked, and stays as it was.
    Raises StepFailed, with nothing left behind.
    """
    with contextlib.ExitStack() as cleanup:
        with _step("seccomp"):
            program = _program(sandbox.seccomp) if sandbox.seccomp else b""
        with _step("clone"):
            reports, told = os.pipe()
            cleanup.callback(os.close, told)
            gate, opener = os.pipe()
            cleanup.callback(os.close, gate)
            cleanup.callback(os.close, opener)
        site = Site(sandbox, command, log=log, reports=told, gate=gate, seccomp=program)
        try:
            _open_sources(site, cleanup)
            pid = _fork(site, (reports, opener), cgroup)
            try:
                _admit(site, pid, opener)
            except BaseException:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise
        except BaseException:
            os.close(reports)
            raise
    return Started(pid, reports)


def _open_sources(site: Site, cleanup: contextlib.ExitStack) -> None:
    """Open what only the monitor may open, if it is root: init will be nobody on the host."""
    if os.geteuid() == 0:
        with _step("sources"):
            mounts.open_sources(site)
            for fd in (site.tree, *site.sources):
                if fd != CLOSED:
                    cleanup.callback(os.close, fd)


def _fork(site: Site, monitors: tuple[int, ...], cgroup: int | None) -> int:
    flags = _NAMESPACES
    if site.sandbox.has_user_namespace:
        flags |= namespaces.CLONE_NEWUSER
    if site.sandbox.network == NONE:
        flags |= namespaces.CLONE_NEWNET
    with _step("clone"):
        pid = namespaces.fork_into(flags, cgroup)
    if pid == 0:
        # While the monitor's ends are left here too, neither pipe would tell that it is gone.
        for fd in monitors:
            os.close(fd)
        init.run(site)
    return pid


def _admit(site: Site, pid: int, opener: int) -> None:
    """Give init its ids, and let it go."""
    sandbox = site.sandbox
    with _step("maps"):
        if sandbox.has_user_namespace:
            namespaces.write_id_maps(pid, sandbox.uid_map, sandbox.gid_map)
            if site.tree != CLOSED:
                _map_tree(site.tree, pid)
        os.write(opener, b".")


def _map_tree(tree: int, pid: int) -> None:
    """Have the files of the root file system belong to root inside, and not to root of the host."""
    user_namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        mount_api.map_ids(tree, user_namespace)
    finally:
        os.close(user_namespace)


# A name stands for one content: the server names the file by its digest.
@functools.lru_cache(maxsize=4)
def _program(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except StepFailed:
        raise
    except OSError as error:
        raise StepFailed(name, error) from error
