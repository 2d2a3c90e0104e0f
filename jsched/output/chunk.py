"""The small store through which followers at one offset share a piece of a log."""

from __future__ import annotations

from collections.abc import Hashable

from jsched.job import Chunk


class ChunkCache:
    """The chunks that were read last, of all logs, at most `capacity` bytes of data and `entries` chunks.

    A chunk is found by its log, its offset and the limit it was read with. It may be shorter
    than what the log has by now.
    """

    __slots__ = ("_capacity", "_chunks", "_entries", "_held")

    def __init__(self, capacity: int = 4 * 1024 * 1024, entries: int = 256) -> None:
        self._capacity = capacity
        self._entries = entries
        self._held = 0
        self._chunks: dict[tuple[Hashable, int, int], Chunk] = {}

    @property
    def held(self) -> int:
        """Bytes of data that are kept."""
        return self._held

    def get(self, log: Hashable, offset: int, limit: int) -> Chunk | None:
        """Return the chunk that was read there, if it is still kept."""
        return self._chunks.get((log, offset, limit))

    def put(self, log: Hashable, limit: int, chunk: Chunk) -> None:
        """Keep a chunk, letting go of the oldest ones."""
        key = (log, chunk.offset, limit)
        self._drop(key)
        self._chunks[key] = chunk
        self._held += len(chunk.data)
        while self._held > self._capacity or len(self._chunks) > self._entries:
            self._drop(next(iter(self._chunks)))

    def forget(self, log: Hashable) -> None:
        """Let go of all chunks of a log."""
        for key in [key for key in self._chunks if key[0] is log]:
            self._drop(key)

    def _drop(self, key: tuple[Hashable, int, int]) -> None:
        chunk = self._chunks.pop(key, None)
        if chunk is not None:
            self._held -= len(chunk.data)
