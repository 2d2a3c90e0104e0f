"""What the steps of the plan work on, from the fork to the start of the command."""

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
    """The sandbox to build, and the descriptors that steps leave for later ones.

    privileged  whether the monitor is root, so that ids could be mapped freely and groups can be left
    log         what the command prints into, once it has come
    reports     the pipe to the monitor
    gate        the pipe through which the monitor lets init go, when the user namespace has its maps
    orders      the socket that the command comes through; order.send()
    tasks       `tasks` files of cgroups of version 1, that init writes itself into at once
    tree        an unattached mount of the root file system's tree
    sources     unattached mounts of what is to be bound, in the order of the binds
    devices     unattached mounts of the host's device nodes, by name
    furniture   the file system in memory that /dev and empty directories are taken from
    scratch     the file system in memory that all writable directories are taken from
    root        the root directory of the job
    """

    __slots__ = (
        "devices",
        "furniture",
        "gate",
        "log",
        "orders",
        "privileged",
        "reports",
        "root",
        "sandbox",
        "scratch",
        "sources",
        "tasks",
        "tree",
    )

    def __init__(self, sandbox: Sandbox, *, reports: int, gate: int, orders: int) -> None:
        self.sandbox = sandbox
        self.reports = reports
        self.gate = gate
        self.privileged = os.geteuid() == 0
        self.orders = orders
        self.log = CLOSED
        self.tasks: tuple[int, ...] = ()
        self.tree = CLOSED
        self.sources: list[int] = []
        self.devices: dict[str, int] = {}
        self.furniture = CLOSED
        self.scratch = CLOSED
        self.root = CLOSED

    def descriptors(self) -> list[int]:
        """Return every descriptor that was made for this site by the monitor."""
        named = (self.reports, self.gate, self.orders, self.tree)
        return [fd for fd in (*named, *self.tasks, *self.sources) if fd != CLOSED]
