"""Which environment variables a caller may set: names, and beginnings of names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?|\*")
# With these a caller would choose what is executed: the loader, the C library and shells follow them.
# Source: ld.so(8), iconv(3), bash(1)
_CHOOSING = ("LD_*", "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "PATH", "BASH_ENV", "ENV")


@dataclass(frozen=True, slots=True)
class EnvNames:
    """Names of variables; one that ends in `*` is a beginning. Raises ValueError for what is no name."""

    patterns: tuple[str, ...]

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            if not _PATTERN.fullmatch(pattern):
                raise ValueError(f"{pattern!r} is not the name of a variable, with or without a '*' at its end")

    def refused(self, names: Iterable[str]) -> str | None:
        """Return the first of these names that may not be set, None if all may."""
        return next((name for name in names if not any(_overlap(one, name) for one in self.patterns)), None)

    @property
    def choosing(self) -> str | None:
        """The pattern, if there is one, by which a caller could choose what is executed."""
        return next((one for one in self.patterns if any(_overlap(one, other) for other in _CHOOSING)), None)


# What a caller with a list of commands may set if the policy does not say.
HARMLESS = EnvNames(("LANG", "LC_*", "TZ", "TERM"))


def _overlap(one: str, other: str) -> bool:
    """Return whether there is a name that both patterns are of."""
    if one.endswith("*") and other.endswith("*"):
        shorter, longer = sorted((one[:-1], other[:-1]), key=len)
        return longer.startswith(shorter)
    if other.endswith("*"):
        one, other = other, one
    return other.startswith(one[:-1]) if one.endswith("*") else one == other
