"""Data compressed with zstd: one frame after the other, to the end of the section.

Each frame is taken apart into its blocks, which the library decodes one by one: so it never has
more to say than a block's content, and no frame passes that is not whole. Skippable frames are
passed over; pzstd(1) writes one before each of its own. Source: RFC 8878, section 3.1.
"""

from __future__ import annotations

from typing import Any

from jsched.archive.refusal import MEBIBYTE, Refused
from jsched.archive.section import Input

try:
    import zstandard
except ImportError:  # an archive of that kind is refused then, saying so
    zstandard = None  # type: ignore[assignment]

ZSTD = b"\x28\xb5\x2f\xfd"
# The first byte of its magic number may have any lower half.
_SKIPPABLE = b"\x50\x2a\x4d\x18"
# What `zstd -19 --long=27` makes can be read, and no more; zstd(1).
_MAX_WINDOW = 128 * MEBIBYTE
_CHECKSUM = 4
_RLE, _RESERVED = 1, 3
ZstdError: type[Exception] = EOFError if zstandard is None else zstandard.ZstdError


def begins_like_zstd(data: bytes) -> bool:
    """Return whether a frame, or a skippable one, begins with these four bytes."""
    return len(data) >= 4 and (data.startswith(ZSTD) or _is_skippable(data[:4]))


class ZstdFrames:
    """The uncompressed bytes of all frames.

    Raises EOFError if the last is not whole, Refused for what is no frame, for a window that is
    too large and if there is no library, and ZstdError.
    """

    def __init__(self, source: Input) -> None:
        if zstandard is None:
            raise Refused("it is compressed with zstd, and this server has no zstandard to read it with")
        self._library = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._source = source
        self._frame: Any = None
        self._header = b""
        self._checksum = 0
        self._block = b""
        self._start = 0

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes, and none at the end."""
        while self._start == len(self._block):
            if self._frame is None and not self._begin():
                return b""
            self._block, self._start = self._decode_block(), 0
        data = self._block[self._start : self._start + count]
        self._start += len(data)
        return data

    def _begin(self) -> bool:
        """Go to the next frame that has content, and return whether there is one."""
        source = self._source
        while magic := source.peek(4):
            if len(magic) < 4 and (ZSTD.startswith(magic) or _is_skippable(magic)):
                raise EOFError
            if _is_skippable(magic):
                size = int.from_bytes(source.peek(8)[4:], "little")
                source.pass_over(8 + size)
                continue
            if magic != ZSTD:
                raise Refused(f"what is at byte {source.position} of the zstd data is no frame")
            self._header = source.take(_header_size(source.peek(5)))
            self._checksum = _CHECKSUM if self._header[4] & 4 else 0
            _check_window(self._header)
            self._frame = self._library.decompressobj()
            return True
        return False

    def _decode_block(self) -> bytes:
        header = self._source.take(3)
        fields = int.from_bytes(header, "little")
        last, kind, size = fields & 1, fields >> 1 & 3, fields >> 3
        if kind == _RESERVED:
            raise Refused("the zstd data is damaged: a block is of a kind that is reserved")
        size = (1 if kind == _RLE else size) + (self._checksum if last else 0)
        content: bytes = self._frame.decompress(self._header + header + self._source.take(size))
        self._header = b""
        if self._frame.eof != bool(last) or self._frame.unused_data:
            raise Refused("the zstd data is damaged: a frame does not end with its last block")
        if last:
            self._frame = None
        return content


def _is_skippable(magic: bytes) -> bool:
    return magic[0] & 0xF0 == _SKIPPABLE[0] and _SKIPPABLE[1:].startswith(magic[1:])


def _header_size(start: bytes) -> int:
    """Return the size of a frame's header, with the magic number, by the first five bytes; section 3.1.1.1."""
    if len(start) < 5:
        raise EOFError
    flags = start[4]
    single = flags >> 5 & 1
    return 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]


def _check_window(header: bytes) -> None:
    flags = header[4]
    if flags >> 5 & 1:
        # Of a frame in a single segment the window is its content; the size of two bytes counts from 256 on.
        size = (1, 2, 4, 8)[flags >> 6]
        window = int.from_bytes(header[-size:], "little")
    else:
        exponent, mantissa = header[5] >> 3, header[5] & 7
        window = (8 + mantissa) << (7 + exponent)
    if window > _MAX_WINDOW:
        raise Refused(
            f"its zstd data needs {window} bytes of memory to read it, more than the {_MAX_WINDOW} that are allowed",
            limit=True,
        )
