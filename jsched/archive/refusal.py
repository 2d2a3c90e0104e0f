"""What is wrong with an archive, and how much of anything one may hold."""

from __future__ import annotations

from typing import NamedTuple

MEBIBYTE = 1024 * 1024
_SHOWN = 120


class Limits(NamedTuple):
    """How much an archive may cost: bytes and members of its tree, seconds, and bytes of memory to read it."""

    size: int
    entries: int
    seconds: int
    memory: int = 512 * MEBIBYTE


class Refused(Exception):
    """The archive is not taken. `limit` says whether that is for its size alone."""

    def __init__(self, reason: str, *, limit: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.limit = limit

    def inside(self, what: str) -> Refused:
        """Return the same refusal, saying in which part of the archive."""
        return Refused(f"{what}: {self.reason}", limit=self.limit)


class Budget:
    """What is left of the limits while an archive is unpacked; all layers of an image share one."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.entries = 0
        self._left = limits.size

    def charge_entry(self) -> None:
        """Count a member; raises Refused if it is one too many."""
        self.entries += 1
        if self.entries > self.limits.entries:
            raise Refused(f"the archive has more than {self.limits.entries} members", limit=True)

    def charge_bytes(self, count: int) -> None:
        """Count bytes that are about to be written; raises Refused if they are too many."""
        self._left -= count
        if self._left < 0:
            raise Refused(f"its files hold more than the {self.limits.size} bytes that are allowed", limit=True)


def shown(name: bytes) -> str:
    """Return a member's name as a message quotes it: on one line, and not without end."""
    text = name.decode("utf-8", "backslashreplace")
    # By hand: behind the walls there is no file left that Python could load a codec from.
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[:_SHOWN]}…'"
