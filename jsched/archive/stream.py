"""The bytes of a tar archive, whatever it is compressed with, never more than a piece of them at a time."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from typing import Any

from jsched.archive.refusal import MEBIBYTE, Refused

try:
    import zstandard
except ImportError:  # an archive of that kind is refused then, saying so
    zstandard = None  # type: ignore[assignment]

PIECE = 256 * 1024
# Real trees shrink to a third or a tenth; an archive that shrinks to less than this is a bomb.
MAX_RATIO = 200
# Before this much has come out, the ratio says nothing.
_RATIO_FREE = 16 * MEBIBYTE
# What `zstd -19 --long=27` makes can be read, and no more; zstd(1).
_MAX_ZSTD_WINDOW = 128 * MEBIBYTE
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"))
_DAMAGE: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
if zstandard is not None:
    _DAMAGE += (zstandard.ZstdError,)


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


class Stream:
    """The uncompressed bytes of a section; `compression` is "" , "gzip", "xz" or "zstd".

    Raises Refused for damaged data, for too much that comes out of too little, and for what
    would need too much memory.
    """

    def __init__(self, section: Section) -> None:
        start = os.pread(section.descriptor, min(8, section.size), section.offset)
        self.compression = next((name for magic, name in _MAGIC if start.startswith(magic)), "")
        self.position = 0
        self._section = section
        self._reader = _open(section, self.compression)

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes, and none at the end."""
        try:
            data: bytes = self._reader.read(min(count, PIECE))
        except _DAMAGE as error:
            raise Refused(f"the {self.compression} data is damaged: {error}") from None
        except MemoryError:
            raise Refused(f"reading its {self.compression} data would take too much memory", limit=True) from None
        self.position += len(data)
        if self.compression and self.position > _RATIO_FREE + MAX_RATIO * self._section.position:
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


def _open(section: Section, compression: str) -> Any:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=section, mode="rb")  # type: ignore[call-overload]
    if compression == "xz":
        return lzma.LZMAFile(section, format=lzma.FORMAT_XZ)  # type: ignore[arg-type]
    if compression == "zstd":
        if zstandard is None:
            raise Refused("it is compressed with zstd, and this server has no zstandard to read it with")
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        return decompressor.stream_reader(section, read_size=PIECE, read_across_frames=True)  # type: ignore[arg-type]
    return section
