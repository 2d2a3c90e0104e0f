"""What a job is locked into, as a value: computed by the server, carried out by init.

It goes over the wire as JSON, and knows no I/O. Paths are absolute, without symbolic links, and sorted so that
what lies deeper comes later.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

HOST = "host"
ROOTFS = "rootfs"
NONE = "none"


class IdRange(NamedTuple):
    """A line of a user namespace's map: `size` ids from `inside` on are those from `outside` on."""

    inside: int
    outside: int
    size: int


class Bind(NamedTuple):
    """A file or directory of the host, and where the job sees it."""

    source: str
    target: str
    writable: bool = False


class ResourceLimit(NamedTuple):
    """A resource of setrlimit(2) by its number, and its soft and hard limit; -1 is none."""

    resource: int
    soft: int
    hard: int


class Sandbox(NamedTuple):
    """The walls around one job.

    mode          HOST: a read-only view of the host's files; ROOTFS: the tree at `rootfs`, copy-on-write
    network       NONE: a loopback interface and nothing else; HOST: the host's network
    uid, gid      whom the command runs as, inside the user namespace if there is one
    uid_map,      the maps of its user namespace; both empty: there is none, and uid and gid are the host's
    gid_map
    scratch_size  bytes that may be kept in /tmp, /dev/shm and what was changed in a root file system, together
    hidden        directories of the host that are empty for the job
    masked        entries of /proc that are empty for the job
    hostname      what the host is called inside; the default can be resolved without a network
    capabilities  a bit mask of those that the command keeps in its user namespace
    seccomp       a file with the compiled filter, which never changes under one name; "": none
    oom_score_adj how much rather than the host's own processes the job is killed where memory is short,
                  proc_pid_oom_score_adj(5)
    """

    mode: str
    network: str
    uid: int
    gid: int
    uid_map: tuple[IdRange, ...] = ()
    gid_map: tuple[IdRange, ...] = ()
    rootfs: str = ""
    scratch_size: int = 64 << 20
    binds: tuple[Bind, ...] = ()
    hidden: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    hostname: str = "localhost"
    umask: int = 0o022
    limits: tuple[ResourceLimit, ...] = ()
    capabilities: int = 0
    seccomp: str = ""
    oom_score_adj: int = 500

    @property
    def has_user_namespace(self) -> bool:
        """Whether ids are mapped."""
        return bool(self.uid_map)

    def encode(self) -> str:
        """Return the sandbox as JSON."""
        return json.dumps(self)

    @classmethod
    def decode(cls, text: str) -> Sandbox:
        """Return the sandbox that encode() was given; raises ValueError for anything else."""
        try:
            return cls.from_fields(json.loads(text))
        except TypeError as error:
            raise ValueError(f"not a sandbox: {error}") from None

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Sandbox:
        """Return the sandbox that json made a list of; raises TypeError or ValueError for anything else."""
        sandbox = cls(*fields)
        return sandbox._replace(
            uid_map=tuple(IdRange(*each) for each in sandbox.uid_map),
            gid_map=tuple(IdRange(*each) for each in sandbox.gid_map),
            binds=tuple(Bind(*each) for each in sandbox.binds),
            hidden=tuple(sandbox.hidden),
            masked=tuple(sandbox.masked),
            limits=tuple(ResourceLimit(*each) for each in sandbox.limits),
        )
