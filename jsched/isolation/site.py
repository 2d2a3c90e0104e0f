"""What the steps of the plan work on, from the fork of init to the start of the command."""

from __future__ import annotations

from typing import NamedTuple

from jsched.isolation.sandbox import Sandbox

CLOSED = -1


class Command(NamedTuple):
    """What is to be started; `env` is its whole environment."""

    argv: tuple[str, ...]
    env: dict[str, str]


class Site:
    """The sandbox to build, the command to start in it, and the descriptors that steps leave for later ones.

    log, reports, gate  what the command prints into; what init tells the monitor; closed by the monitor when
                        the user namespace has its maps (CLOSED: nobody waits)
    sources             unattached mounts: the root file system's tree, if there is one, then those of the binds
    devices             unattached mounts of the host's device nodes, by name
    scratch             the file system in memory that all writable directories are taken from
    root                the root directory of the job
    """

    __slots__ = (
        "command",
        "devices",
        "gate",
        "log",
        "reports",
        "root",
        "sandbox",
        "scratch",
        "seccomp",
        "sources",
        "tree",
    )

    def __init__(
        self, sandbox: Sandbox, command: Command, *, log: int, reports: int, gate: int, seccomp: bytes
    ) -> None:
        self.sandbox = sandbox
        self.command = command
        self.log = log
        self.reports = reports
        self.gate = gate
        self.seccomp = seccomp
        self.tree = CLOSED
        self.sources: list[int] = []
        self.devices: dict[str, int] = {}
        self.scratch = CLOSED
        self.root = CLOSED
