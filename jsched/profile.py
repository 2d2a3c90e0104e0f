"""The table [limits] of the server's configuration: what jobs get that ask for nothing, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jsched.errors import InvalidArgument
from jsched.limits import ALL_DISKS, DISK_RATES, DiskLimit, Limits, parse_size

REFUSE, REPORT = "refuse", "report"

_MEBIBYTE = 1024 * 1024
_DEFAULTS = Limits(
    cpus=2.0,
    memory=1000 * _MEBIBYTE,
    pids=512,
    disk=(DiskLimit(ALL_DISKS, read_bps=1_000_000_000, write_bps=100_000_000),),
)
_NUMBERS = ("cpus", "cpu_weight", "pids", "disk_weight")
LIMITS = (*_NUMBERS, "memory", "swap", "disk")
_KNOWN = (*LIMITS, "unenforceable", "enabled", "parent")
_RATES = ", ".join(DISK_RATES)


@dataclass(frozen=True, slots=True)
class Profile:
    """The limits of a job that asks for none, and what is done about one that the host can't apply.

    `unenforceable` is "refuse" or "report"; without `enabled` there are no cgroups; `parent` is the
    cgroup that the server makes its own below, None for the one that suits the machine.
    """

    default: Limits = _DEFAULTS
    unenforceable: str = REFUSE
    enabled: bool = True
    parent: str | None = None

    def __post_init__(self) -> None:
        if self.unenforceable not in (REFUSE, REPORT):
            raise InvalidArgument(
                f"unenforceable is {self.unenforceable!r}, not {REFUSE!r} or {REPORT!r}", obj="unenforceable"
            )
        if self.parent is not None and (".." in self.parent.split("/") or "\0" in self.parent):
            raise InvalidArgument(f"parent is {self.parent!r}, not the path of a cgroup", obj="parent")


def parse_profile(table: Mapping[str, Any]) -> Profile:
    """Return the profile of a table as TOML has it; a limit that it does not name stays, one that is 0 is none.

    `disk` is a list of tables, each with a device and rates, in place of those that there are by
    default. Raises InvalidArgument naming the key.
    """
    if not isinstance(table, Mapping):
        raise InvalidArgument("limits is not a table", obj="limits")
    for name in table:
        if name not in _KNOWN:
            raise InvalidArgument(
                f"unknown key {name!r} in limits", obj="limits", hint=f"known are {', '.join(_KNOWN)}"
            )
    return Profile(
        default=replace(_DEFAULTS, **limit_changes(table)),
        unenforceable=_text("unenforceable", table.get("unenforceable", REFUSE)),
        enabled=_boolean("enabled", table.get("enabled", True)),
        parent=None if "parent" not in table else _text("parent", table["parent"]),
    )


def limit_changes(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits that a table names, each as `Limits` has it; one that is 0 is None.

    Keys that are no limits are left out. Raises InvalidArgument naming the key.
    """
    changes: dict[str, Any] = {name: _number(name, table[name]) or None for name in _NUMBERS if name in table}
    if "memory" in table:
        changes["memory"] = _size("memory", table["memory"]) or None
    if "swap" in table:
        # Unlike the others: no swap at all is a limit.
        changes["swap"] = _size("swap", table["swap"])
    if "disk" in table:
        changes["disk"] = _once(tuple(_disk_limit(entry) for entry in _list("disk", table["disk"])))
    return changes


def fit(limits: Limits, cpus: int, memory: int) -> tuple[Limits, tuple[str, ...]]:
    """Return limits that a machine with so many CPUs and bytes of memory has, and what was changed, in words."""
    changes: list[str] = []
    if limits.cpus is not None and limits.cpus > cpus:
        changes.append(f"cpus is {cpus}, not {limits.cpus:g}: the machine has no more")
        limits = replace(limits, cpus=float(cpus))
    if limits.memory is not None and limits.memory > memory:
        changes.append(f"memory is {memory} bytes, not {limits.memory}: the machine has no more")
        limits = replace(limits, memory=memory)
    return limits, tuple(changes)


def _disk_limit(entry: Any) -> DiskLimit:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("device"), str):
        raise InvalidArgument("an entry of disk is not a table with a device", obj="disk")
    for name in entry:
        if name not in ("device", *DISK_RATES):
            raise InvalidArgument(
                f"unknown key {name!r} in disk", obj="disk", hint=f"known are device, {', '.join(DISK_RATES)}"
            )
    rates = {name: _size(name, entry[name]) or None for name in DISK_RATES if name in entry}
    return DiskLimit(entry["device"], **rates)


def _once(limits: tuple[DiskLimit, ...]) -> tuple[DiskLimit, ...]:
    """Return the limits as they are; raises InvalidArgument if two say the same of a device."""
    seen: set[tuple[str, str]] = set()
    for limit in limits:
        for rate in limit.rates:
            if (limit.device, rate) in seen:
                raise InvalidArgument(f"{rate} of disk {limit.device} is given twice", obj="disk")
            seen.add((limit.device, rate))
    return limits


def _size(name: str, value: Any) -> int:
    return parse_size(value, name) if isinstance(value, str) else int(_number(name, value))


def _number(name: str, value: Any) -> float:
    # Of a whole number that no float can hold isfinite() can't say.
    endless = isinstance(value, float) and not math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or endless:
        raise InvalidArgument(f"{name} is {value!r}, not a number", obj=name)
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} is {value!r}, not a text", obj=name)
    return value


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} is {value!r}, not true or false", obj=name)
    return value


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidArgument(f"{name} is not a list of tables", obj=name)
    return value
