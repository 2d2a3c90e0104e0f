"""How a job is walled in: what a caller may ask for, and what it has got."""

from __future__ import annotations

import enum
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from jsched.errors import InvalidArgument
from jsched.frozen import frozen

_ROOTFS = r"[a-z0-9][a-z0-9._-]{0,62}"
_ACCOUNT = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}"
_MOST_BINDS = 32
_ROOT = "root"
# Ids behind the walls are below.
ACCOUNTS = 65_536


class Mode(enum.Enum):
    """What a job sees of the host; the values are what the database keeps.

    NONE: all that the server's user may see, with that user's rights; HOST: a read-only view of
    the host's files; ROOTFS: an uploaded root file system, copy-on-write.
    """

    NONE = "none"
    HOST = "host"
    ROOTFS = "rootfs"


class Network(enum.Enum):
    """NONE: a loopback interface and nothing else; HOST: the host's network."""

    NONE = "none"
    HOST = "host"


@frozen
class Bind:
    """A directory or file of the host, and where the job sees it; absolute paths."""

    source: str
    target: str
    writable: bool = False

    def __post_init__(self) -> None:
        for name, path in (("source", self.source), ("target", self.target)):
            if not path.startswith("/") or "\0" in path or ".." in path.split("/") or not _is_utf8(path):
                raise InvalidArgument(f"bind {name} {path!r} is not an absolute path without '..'", obj="binds")
        if self.place == "/":
            raise InvalidArgument("a bind's target is the root directory", obj="binds")

    @property
    def place(self) -> str:
        """The target as there is but one way to write it."""
        return "/" + posixpath.normpath(self.target).lstrip("/")


@frozen
class Confinement:
    """What is asked of a job's walls; None is the server's to say. Raises InvalidArgument naming the field.

    `rootfs` is the name of an uploaded root file system, and asks for Mode.ROOTFS. `user` and
    `group` are whom the command runs as behind its walls.
    """

    mode: Mode | None = None
    network: Network | None = None
    rootfs: str | None = None
    binds: tuple[Bind, ...] = ()
    user: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if self.rootfs is not None:
            if not re.fullmatch(_ROOTFS, self.rootfs):
                raise InvalidArgument(f"rootfs {self.rootfs!r} is not a name of a root file system", obj="rootfs")
            if self.mode not in (None, Mode.ROOTFS):
                raise InvalidArgument(f"isolation {self.mode.value} has no root file system", obj="rootfs")
        elif self.mode is Mode.ROOTFS:
            raise InvalidArgument("isolation rootfs needs the name of a root file system", obj="rootfs")
        if len(self.binds) > _MOST_BINDS:
            raise InvalidArgument(f"{len(self.binds)} binds are more than {_MOST_BINDS}", obj="binds")
        if len({bind.place for bind in self.binds}) < len(self.binds):
            raise InvalidArgument("two binds have the same target", obj="binds")
        for name in ("user", "group"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(_ACCOUNT, value):
                raise InvalidArgument(f"{name} {value!r} is not a name or number", obj=name)
        if self.mode is Mode.NONE:
            for name in ("network", "user", "group"):
                if getattr(self, name) not in (None, Network.HOST):
                    raise InvalidArgument(f"isolation none has no {name} of its own", obj=name)
            if self.binds:
                raise InvalidArgument("isolation none has no binds: it sees all files as they are", obj="binds")


NOTHING_ASKED = Confinement()


@frozen
class Walls:
    """What a job really has: the mode and network, the digest of its root file system, and each wall by name."""

    mode: Mode
    network: Network
    rootfs: str = ""
    steps: tuple[str, ...] = ()


def account_number(account: str, what: str) -> int:
    """Return the number behind the walls of a user or group: 0 of root, or the number that it is.

    Raises InvalidArgument, with `what` it is, for a name: names mean nothing there.
    """
    if account == _ROOT:
        return 0
    if not (account.isascii() and account.isdigit()) or len(account) > len(str(ACCOUNTS)) or int(account) >= ACCOUNTS:
        raise InvalidArgument(
            f"{what} {account!r} is neither root nor a number below {ACCOUNTS}",
            obj=what,
            hint="names mean nothing behind the walls",
        )
    return int(account)


def to_json(asked: Confinement) -> dict[str, Any]:
    """Return what was asked, without what was not, as JSON has it."""
    fields: dict[str, Any] = {
        "mode": asked.mode and asked.mode.value,
        "network": asked.network and asked.network.value,
        "rootfs": asked.rootfs,
        "binds": [[bind.source, bind.target, bind.writable] for bind in asked.binds],
        "user": asked.user,
        "group": asked.group,
    }
    return {name: value for name, value in fields.items() if value}


def from_json(fields: Mapping[str, Any]) -> Confinement:
    """Return what to_json() was given."""
    return Confinement(
        mode=Mode(fields["mode"]) if "mode" in fields else None,
        network=Network(fields["network"]) if "network" in fields else None,
        rootfs=fields.get("rootfs"),
        binds=tuple(Bind(*one) for one in fields.get("binds", ())),
        user=fields.get("user"),
        group=fields.get("group"),
    )


def walls_to_json(walls: Walls) -> list[Any]:
    """Return the walls as JSON has them."""
    return [walls.mode.value, walls.network.value, walls.rootfs, list(walls.steps)]


def walls_from_json(fields: list[Any]) -> Walls:
    """Return what walls_to_json() was given."""
    mode, network, rootfs, steps = fields
    return Walls(Mode(mode), Network(network), rootfs, tuple(steps))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
