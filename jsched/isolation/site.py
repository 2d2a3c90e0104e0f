"""What the steps of the plan work on, from the fork of init to the start of the command."""

from __future__ import annotations

import os
from typing import NamedTuple

from jsched.isolation.sandbox import Sandbox

CLOSED = -1


class Command(NamedTuple):
    """What is to be started; `env` is its whole environment, `workdir` a path as the job sees it."""

    argv: tuple[str, ...]
    env: dict[str, str]
    workdir: str = "/"


class Site:
    """The sandbox to build, the command to start in it, and the descriptors that steps leave for later ones.

    privileged  whether the monitor is root, so that ids could be mapped freely and groups can be left
    command     None as long as init does not know it, and then waits for it at `orders`
    log         what the command prints into
    reports     the pipe to the monitor
    gate        the pipe through which the monitor lets init go, when the user namespace has its maps
    orders      the socket that the command comes through, if it comes later; order.receive()
    tasks       `tasks` files of cgroups of version 1, that init writes itself into
    seccomp     the compiled filter
    tree        an unattached mount of the root file system's tree
    sources     unattached mounts of what is to be bound, in the order of the binds
    devices     unattached mounts of the host's device nodes, by name
    scratch     the file system in memory that all writable directories are taken from
    root        the root directory of the job
    """

    __slots__ = (
        "command",
        "devices",
        "gate",
        "log",
        "orders",
        "privileged",
        "reports",
        "root",
        "sandbox",
        "scratch",
        "seccomp",
        "sources",
        "tasks",
        "tree",
    )

    def __init__(self, sandbox: Sandbox, *, reports: int, gate: int, seccomp: bytes) -> None:
        self.sandbox = sandbox
        self.reports = reports
        self.gate = gate
        self.privileged = os.geteuid() == 0
        self.seccomp = seccomp
        self.command: Command | None = None
        self.log = CLOSED
        self.orders = CLOSED
        self.tasks: tuple[int, ...] = ()
        self.tree = CLOSED
        self.sources: list[int] = []
        self.devices: dict[str, int] = {}
        self.scratch = CLOSED
        self.root = CLOSED

    def descriptors(self) -> list[int]:
        """Return every descriptor that was made for this site by the monitor."""
        named = (self.reports, self.gate, self.orders, self.log, self.tree)
        return [fd for fd in (*named, *self.tasks, *self.sources) if fd != CLOSED]

    def known_command(self) -> Command:
        """Return the command; raises ValueError while there is none."""
        if self.command is None:
            raise ValueError("no command has come")
        return self.command
