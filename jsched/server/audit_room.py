"""Room for lines that are not written yet: a counter on the event loop.

Every call holds room for its lines before it does anything, so that a disk that is full is
noticed before the deed, and the line after it still fits. The last bytes are for stops alone:
who fills the disk must not be safe from being stopped by it. Of those no user gets more than a
share, or one who may stop his own jobs could use them up.
"""

from __future__ import annotations

from jsched.audit.line import MAX_LINE

FOR_STOPS = 1 << 19
# What is set aside beyond that and what is held, so that calls seldom wait for more.
BLOCK = 1 << 19
_SHARE = FOR_STOPS // 4


class Room:
    """How many bytes can be written for sure (`ahead`), how many are held, and how many are waited for."""

    def __init__(self) -> None:
        self.ahead = 0
        self.held = 0
        self.waited_for = 0
        self._shares: dict[str, int] = {}

    @property
    def wanted(self) -> int:
        """How many bytes there should be."""
        return self.held + self.waited_for + FOR_STOPS + BLOCK

    @property
    def plenty(self) -> bool:
        """Whether a line fits without what is kept for stops."""
        return self.ahead - self.held - MAX_LINE >= FOR_STOPS

    def take(self, lines: int, stops_for: str | None = None) -> Hold | None:
        """Return room for so many lines, None if there is none.

        For `stops_for`, a user who stops a job, it may be of what is kept for that.
        """
        size = lines * MAX_LINE
        left = self.ahead - self.held - size
        if left >= FOR_STOPS:
            self._shares.clear()
            stops_for = None
        elif stops_for is None or left < 0 or self._shares.get(stops_for, 0) + size > _SHARE:
            return None
        self.held += size
        if stops_for is not None:
            self._shares[stops_for] = self._shares.get(stops_for, 0) + size
        return Hold(self, size, stops_for)

    def give_back(self, size: int, used: int, stops_for: str | None) -> None:
        """Hold `size` bytes no longer, of which `used` were written."""
        self.held -= size
        if stops_for in self._shares:
            self._shares[stops_for] = max(self._shares[stops_for] - size + used, 0)


class Hold:
    """Room for some lines that is held; to be released."""

    __slots__ = ("_room", "_size", "_stops_for")

    def __init__(self, room: Room, size: int, stops_for: str | None) -> None:
        self._room = room
        self._size = size
        self._stops_for = stops_for

    def split(self) -> Hold | None:
        """Return room for one of the lines, to be released by itself, None if it was all used."""
        if self._size < MAX_LINE:
            return None
        self._size -= MAX_LINE
        return Hold(self._room, MAX_LINE, self._stops_for)

    def release(self, *, used: int = 0) -> None:
        """Hold it no longer; `used` bytes of it were written. A second call does nothing."""
        size, self._size = self._size, 0
        if size:
            self._room.give_back(size, used, self._stops_for)
