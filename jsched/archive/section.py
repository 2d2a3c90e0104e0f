"""A part of a file: an archive, a layer of an image, or what describes it."""

from __future__ import annotations

import os


class Section:
    """A part of a file, read by its own position: from `offset` on, `size` bytes."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.size = size
        self.position = 0

    def read(self, count: int = -1) -> bytes:
        """Return up to `count` bytes, fewer only at the end; raises OSError."""
        left = self.size - self.position
        count = left if count < 0 else min(count, left)
        pieces = []
        while count > 0:
            piece = os.pread(self.descriptor, count, self.offset + self.position)
            if not piece:
                break
            pieces.append(piece)
            self.position += len(piece)
            count -= len(piece)
        return b"".join(pieces)


class Input:
    """The bytes of a section for a decompressor: `piece` bytes are read ahead, and what was too much is put back.

    Whatever needs bytes that are not there raises EOFError; reading raises OSError.
    """

    def __init__(self, section: Section, piece: int) -> None:
        self._section = section
        self._piece = piece
        self._ahead = b""
        self._start = 0
        self._passed = 0

    @property
    def position(self) -> int:
        """Where in the section the next byte is."""
        return self._section.position - len(self._ahead) + self._start

    @property
    def taken(self) -> int:
        """How many bytes were read, without those that were passed over."""
        return self._section.position - self._passed

    def read(self) -> bytes:
        """Return what was read ahead, or else the next piece; nothing at the end."""
        data = self._ahead[self._start :]
        self._ahead, self._start = b"", 0
        return data or self._section.read(self._piece)

    def put_back(self, data: bytes) -> None:
        """Have the end of what read() has just returned be the next again."""
        self._ahead, self._start = data, 0

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes without taking them, fewer only at the end."""
        if len(self._ahead) - self._start < count:
            rest = self._ahead[self._start :]
            self._ahead, self._start = rest + self._section.read(max(self._piece, count - len(rest))), 0
        return self._ahead[self._start : self._start + count]

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        data = self.peek(count)
        if len(data) < count:
            raise EOFError
        self._start += count
        return data

    def pass_over(self, count: int) -> None:
        """Leave out the next `count` bytes, without reading them."""
        ahead = min(count, len(self._ahead) - self._start)
        if count - ahead > self._section.size - self._section.position:
            raise EOFError
        self._start += ahead
        self._section.position += count - ahead
        self._passed += count

    def pass_over_zeros(self) -> int:
        """Leave out the zero bytes that come next, and return how many they were."""
        before = self._passed
        while data := self.read():
            rest = data.lstrip(b"\0")
            self._passed += len(data) - len(rest)
            if rest:
                self.put_back(rest)
                break
        return self._passed - before
