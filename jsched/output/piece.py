"""Pieces of logs as they are read, and the small store through which followers at one offset share them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

Frame = Callable[[int, int], bytes]
"""Gives what comes before the bytes of a log where they are sent, from their offset and their number."""

MAX_HEAD = 32
"""The most bytes that a Frame may give."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`size` bytes of a log from `offset` on; `content` is the frame's head, if there is a frame, and they."""

    offset: int
    size: int
    content: bytes

    @property
    def end(self) -> int:
        """The offset of the byte after the last."""
        return self.offset + self.size

    @property
    def data(self) -> bytes:
        """The bytes alone."""
        return self.content[len(self.content) - self.size :]


class PieceCache:
    """The pieces that were read last, of all logs, at most `capacity` bytes of them and `entries` pieces.

    A piece is found by its log, its offset and the limit it was read with. It may be shorter
    than what the log has by now.
    """

    __slots__ = ("_capacity", "_entries", "_held", "_pieces")

    def __init__(self, capacity: int = 4 * 1024 * 1024, entries: int = 256) -> None:
        self._capacity = capacity
        self._entries = entries
        self._held = 0
        self._pieces: dict[tuple[Hashable, int, int], Piece] = {}

    @property
    def held(self) -> int:
        """Bytes of data that are kept."""
        return self._held

    def get(self, log: Hashable, offset: int, limit: int) -> Piece | None:
        """Return the piece that was read there, if it is still kept."""
        return self._pieces.get((log, offset, limit))

    def put(self, log: Hashable, limit: int, piece: Piece) -> None:
        """Keep a piece, letting go of the oldest ones."""
        key = (log, piece.offset, limit)
        self._drop(key)
        self._pieces[key] = piece
        self._held += piece.size
        while self._held > self._capacity or len(self._pieces) > self._entries:
            self._drop(next(iter(self._pieces)))

    def forget(self, log: Hashable) -> None:
        """Let go of all pieces of a log."""
        for key in [key for key in self._pieces if key[0] is log]:
            self._drop(key)

    def _drop(self, key: tuple[Hashable, int, int]) -> None:
        piece = self._pieces.pop(key, None)
        if piece is not None:
            self._held -= piece.size
