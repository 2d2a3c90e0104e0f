"""The table [isolation] of the server's configuration: how jobs are walled in, and what they may ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from jsched.confinement import Mode, Network, account_number
from jsched.errors import InvalidArgument

E = TypeVar("E", bound=Enum)
_KNOWN = ("default", "modes", "network", "networks", "binds", "users", "groups", "scratch", "required")
_READ_ONLY = ":ro"
_SCRATCH = 256 << 20


@dataclass(frozen=True, slots=True)
class AllowedBind:
    """A directory of the host that jobs may have bound, it and what is below it."""

    directory: Path
    writable: bool

    def __str__(self) -> str:
        return f"{self.directory}{'' if self.writable else _READ_ONLY}"


@dataclass(frozen=True, slots=True)
class IsolationConfig:
    """What jobs get that ask for nothing, and what they may ask for; what is not listed is refused.

    Where there is no `default` or no `network`, what a job gets has to be asked for. `scratch` is
    how many bytes a job may keep in its writable directories, which are in memory.
    With `required`, a job is refused if a wall can't be built on this machine; without, it is
    started with fewer, and its status says so.
    """

    default: Mode | None = Mode.HOST
    modes: frozenset[Mode] = frozenset({Mode.HOST, Mode.ROOTFS})
    network: Network | None = Network.NONE
    networks: frozenset[Network] = frozenset({Network.NONE})
    binds: tuple[AllowedBind, ...] = ()
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    scratch: int = _SCRATCH
    required: bool = True

    def __post_init__(self) -> None:
        if self.default is Mode.ROOTFS:
            raise InvalidArgument("default is 'rootfs', and which one is each job's to say", obj="default")
        if self.default is not None:
            object.__setattr__(self, "modes", self.modes | {self.default})
        if self.network is not None:
            object.__setattr__(self, "networks", self.networks | {self.network})

    def narrowed(
        self,
        *,
        modes: Iterable[Mode] | None = None,
        networks: Iterable[Network] | None = None,
        binds: Iterable[AllowedBind] | None = None,
        users: Iterable[str] | None = None,
        groups: Iterable[str] | None = None,
        scratch: int | None = None,
    ) -> IsolationConfig:
        """Return what of these rules is granted to somebody; None leaves them as they are.

        Where the default is not among what is granted there is none. Who may not do without walls
        is refused where none can be built. Binds are compared when one is asked for, because links
        lead elsewhere until then: hold both these rules and what is returned against it.
        """
        allowed = self.modes if modes is None else self.modes & frozenset(modes)
        joined = self.networks if networks is None else self.networks & frozenset(networks)
        return IsolationConfig(
            default=self.default if self.default in allowed else None,
            modes=allowed,
            network=self.network if self.network in joined else None,
            networks=joined,
            binds=self.binds if binds is None else tuple(binds),
            users=self.users if users is None else self.users & frozenset(users),
            groups=self.groups if groups is None else self.groups & frozenset(groups),
            scratch=self.scratch if scratch is None else min(self.scratch, scratch),
            required=self.required or (modes is not None and Mode.NONE not in allowed),
        )


def parse_isolation(table: Mapping[str, Any]) -> IsolationConfig:
    """Return the configuration of a table as TOML has it; raises InvalidArgument naming the key."""
    if not isinstance(table, Mapping):
        raise InvalidArgument("isolation is not a table", obj="isolation")
    for name in table:
        if name not in _KNOWN:
            raise InvalidArgument(
                f"unknown key {name!r} in isolation", obj="isolation", hint=f"known are {', '.join(_KNOWN)}"
            )
    fields: dict[str, Any] = {}
    if "default" in table:
        fields["default"] = _choice("default", Mode, table["default"])
    if "network" in table:
        fields["network"] = _choice("network", Network, table["network"])
    if "modes" in table:
        fields["modes"] = frozenset(_choice("modes", Mode, one) for one in _texts("modes", table["modes"]))
    if "networks" in table:
        fields["networks"] = frozenset(
            _choice("networks", Network, one) for one in _texts("networks", table["networks"])
        )
    if "binds" in table:
        fields["binds"] = tuple(parse_bind(one) for one in _texts("binds", table["binds"]))
    for name in ("users", "groups"):
        if name in table:
            fields[name] = frozenset(_account(name, one) for one in _texts(name, table[name]))
    if "scratch" in table:
        fields["scratch"] = _scratch(table["scratch"])
    if "required" in table:
        if not isinstance(table["required"], bool):
            raise InvalidArgument(f"required is {table['required']!r}, not true or false", obj="required")
        fields["required"] = table["required"]
    return IsolationConfig(**fields)


def parse_bind(text: str) -> AllowedBind:
    """Return the directory that `DIR` or `DIR:ro` allows; raises InvalidArgument."""
    directory = text.removesuffix(_READ_ONLY)
    if not directory.startswith("/") or "\0" in directory or ".." in directory.split("/"):
        raise InvalidArgument(f"binds has {text!r}, not an absolute path, with or without {_READ_ONLY}", obj="binds")
    return AllowedBind(Path(directory), writable=not text.endswith(_READ_ONLY))


def _choice(name: str, kind: type[E], value: Any) -> E:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(one.value) for one in kind)
        raise InvalidArgument(f"{name} is {value!r}, not one of {known}", obj=name) from None


def _texts(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidArgument(f"{name} is not a list of texts", obj=name)
    return value


def _account(name: str, value: str) -> str:
    """Return the name as it is: a job's is compared with it as it is written."""
    try:
        account_number(value, name.removesuffix("s"))
    except InvalidArgument as error:
        raise InvalidArgument(f"{name}: {error.message}", obj=name, hint=error.hint) from None
    return value


def _scratch(value: Any) -> int:
    from jsched.limits import parse_size

    size = parse_size(value, "scratch") if isinstance(value, str) else value
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 << 20:
        raise InvalidArgument(f"scratch is {value!r}, not a size of 1 MiB and up", obj="scratch")
    return size
