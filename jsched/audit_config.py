"""The table [audit] of the server's configuration: how large the trail's files get, and how many are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from jsched.errors import InvalidArgument
from jsched.limits import parse_size

_SMALLEST = 1 << 20


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """When the audit trail gets a new file, and what becomes of the old ones.

    A file that has `max_size` bytes is put aside under the number of its first line. The last
    `keep` of those put aside are kept, all of them if it is None. Every `anchor_interval`
    seconds in which lines were written, the trail is synced and its end is said in the server's log.
    """

    max_size: int = 64 << 20
    keep: int | None = None
    anchor_interval: float = 300.0

    def __post_init__(self) -> None:
        if not _is_integer(self.max_size) or self.max_size < _SMALLEST:
            raise InvalidArgument(f"max_size is {self.max_size!r}, not a size of 1 MiB and up", obj="max_size")
        if self.keep is not None and (not _is_integer(self.keep) or self.keep < 1):
            raise InvalidArgument(
                f"keep is {self.keep!r}, not a number of 1 and up", obj="keep", hint="leave it out to keep all files"
            )
        if isinstance(self.anchor_interval, bool) or not isinstance(self.anchor_interval, int | float):
            raise InvalidArgument(f"anchor_interval is {self.anchor_interval!r}, not a number", obj="anchor_interval")
        if not 1 <= self.anchor_interval <= 86400:
            raise InvalidArgument(
                f"anchor_interval is {self.anchor_interval!r}, not 1 to 86400 seconds", obj="anchor_interval"
            )


def parse_audit(table: Any) -> AuditConfig:
    """Return the configuration of a table as TOML has it; raises InvalidArgument naming the key."""
    if not isinstance(table, Mapping):
        raise InvalidArgument("audit is not a table", obj="audit")
    known = [field.name for field in fields(AuditConfig)]
    for name in table:
        if name not in known:
            raise InvalidArgument(f"unknown key {name!r} in audit", obj="audit", hint=f"known are {', '.join(known)}")
    values = dict(table)
    if isinstance(values.get("max_size"), str):
        values["max_size"] = parse_size(values["max_size"], "max_size")
    return AuditConfig(**values)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
