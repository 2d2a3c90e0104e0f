"""Data compressed with gzip or xz: one stream after the other, to the end of the section.

What comes out of all streams is one archive. Nothing but streams, and the padding that is allowed
after each, may be there: what a reader leaves out, another one unpacks. Sources: RFC 1952 (gzip;
its streams are "members", and gzip(1) takes zeros after them); the .xz file format, section 2.2.
"""

from __future__ import annotations

import lzma
import zlib
from abc import ABC, abstractmethod
from typing import Protocol

from jsched.archive.refusal import Refused
from jsched.archive.section import Input

GZIP, XZ = b"\x1f\x8b", b"\xfd7zXZ\0"
# zlib.h, inflateInit2: the largest window, and a gzip header and trailer around it.
_WITH_GZIP_HEADER = 31
# The .xz file format, section 2.2: the size of padding is a multiple of this.
_XZ_PADDING = 4


class _Decompressor(Protocol):
    """What decodes one stream; lzma.LZMADecompressor."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Streams(ABC):
    """The uncompressed bytes of all streams.

    Raises EOFError if the last is not whole, Refused for what is no stream, and what the library raises.
    """

    name: str
    magic: bytes

    def __init__(self, source: Input) -> None:
        self._source = source
        self._stream: _Decompressor | None = self._new()

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes, and none at the end."""
        # To zlib, 0 means no limit.
        while count and (stream := self._stream or self._begin()) is not None:
            hungry = stream.needs_input
            data = self._source.read() if hungry else b""
            found = stream.decompress(data, count)
            if stream.eof:
                self._source.put_back(stream.unused_data)
                self._stream = None
            elif hungry and not data and not found:
                raise EOFError
            if found:
                return found
        return b""

    def _begin(self) -> _Decompressor | None:
        self._pass_over_padding()
        start = self._source.peek(len(self.magic))
        if not start:
            return None
        if not self.magic.startswith(start):
            raise Refused(
                f"what follows the {self.name} data, at byte {self._source.position}, is no more {self.name} data"
            )
        if len(start) < len(self.magic):
            raise EOFError
        self._stream = self._new()
        return self._stream

    @abstractmethod
    def _new(self) -> _Decompressor: ...

    @abstractmethod
    def _pass_over_padding(self) -> None: ...


class GzipStreams(_Streams):
    """The uncompressed bytes of gzip data."""

    name, magic = "gzip", GZIP

    def _new(self) -> _Decompressor:
        return _Inflater()

    def _pass_over_padding(self) -> None:
        self._source.pass_over_zeros()


class XzStreams(_Streams):
    """The uncompressed bytes of xz data."""

    name, magic = "xz", XZ

    def _new(self) -> _Decompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def _pass_over_padding(self) -> None:
        if (size := self._source.pass_over_zeros()) % _XZ_PADDING:
            raise Refused(f"the xz data is damaged: its padding has {size} bytes, which is not a multiple of four")


class _Inflater:
    """zlib's decompressor, as lzma's is used: it keeps what it was given and could not take yet."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_WITH_GZIP_HEADER)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail or data, max_length)
