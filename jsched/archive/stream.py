"""The bytes of a tar archive, whatever it is compressed with, never more than a piece of them at a time."""

from __future__ import annotations

import lzma
import os
import zlib
from typing import Protocol

from jsched.archive.compression import GZIP, XZ, GzipStreams, XzStreams
from jsched.archive.refusal import MEBIBYTE, Refused
from jsched.archive.section import Input, Section
from jsched.archive.zstd import ZstdError, ZstdFrames, begins_like_zstd

PIECE = 256 * 1024
# Real trees shrink to a third or a tenth; an archive that shrinks to less than this is a bomb.
MAX_RATIO = 200
# Before this much has come out, the ratio says nothing.
_RATIO_FREE = 16 * MEBIBYTE
# How much is read ahead; a stream that ends has all of it copied.
_SMALL_PIECE = 8 * 1024
_DAMAGE: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, ZstdError)
# What zstd says where it would have to raise MemoryError; zstd_errors.h.
_NO_MEMORY = "not enough memory"


class _Reader(Protocol):
    def read(self, count: int, /) -> bytes: ...


class Stream:
    """The uncompressed bytes of a section; `compression` is "" , "gzip", "xz" or "zstd".

    Raises Refused for damaged data, for too much that comes out of too little, and for what
    would need too much memory.
    """

    def __init__(self, section: Section) -> None:
        start = os.pread(section.descriptor, min(8, section.size), section.offset)
        self.position = 0
        self._section = section
        self._input = Input(section, _SMALL_PIECE)
        self._reader: _Reader = section
        self.compression = ""
        if start.startswith(GZIP):
            self.compression, self._reader = "gzip", GzipStreams(self._input)
        elif start.startswith(XZ):
            self.compression, self._reader = "xz", XzStreams(self._input)
        elif begins_like_zstd(start):
            self._input = Input(section, PIECE)
            self.compression, self._reader = "zstd", ZstdFrames(self._input)

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes, and none at the end."""
        try:
            data = self._reader.read(min(count, PIECE))
        except EOFError:
            raise Refused(f"the {self.compression} data is cut off") from None
        except MemoryError:
            raise self._too_much_memory() from None
        except _DAMAGE as error:
            if _NO_MEMORY in str(error):
                raise self._too_much_memory() from None
            raise Refused(f"the {self.compression} data is damaged: {error}") from None
        self.position += len(data)
        if self.compression and self.position > _RATIO_FREE + MAX_RATIO * self._input.taken:
            raise Refused(
                f"more than {MAX_RATIO} bytes come out of each byte of its {self.compression} data", limit=True
            )
        return data

    def read_exactly(self, count: int) -> bytes:
        """Return `count` bytes, fewer only at the end."""
        data = self.read(count)
        if len(data) == count:
            return data
        pieces = [data]
        while data and (count := count - len(data)):
            data = self.read(count)
            pieces.append(data)
        return b"".join(pieces)

    def skip(self, count: int) -> None:
        """Pass over `count` bytes, or to the end if that comes before."""
        if not self.compression:
            section = self._section
            passed = min(count, section.size - section.position)
            section.position += passed
            self.position += passed
            return
        while count > 0 and (data := self.read(count)):
            count -= len(data)

    def _too_much_memory(self) -> Refused:
        return Refused(f"reading its {self.compression} data would take too much memory", limit=True)
