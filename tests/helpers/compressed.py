"""Compressed data as anybody could make it, and what comes out of it."""

from __future__ import annotations

import tempfile

import zstandard

from jsched.archive.section import Section
from jsched.archive.stream import Stream

SOME = 1000


def skippable(content: bytes = b"", size: int | None = None, kind: int = 0) -> bytes:
    """Return a zstd frame that a reader has to skip, with the size of its content or the one that is given."""
    size = len(content) if size is None else size
    return bytes([0x50 | kind]) + b"\x2a\x4d\x18" + size.to_bytes(4, "little") + content


def like_pzstd(data: bytes) -> bytes:
    """Return data as pzstd(1) compresses it: each frame comes after a skippable one that holds its size."""
    frames = [zstandard.compress(data[start : start + SOME]) for start in range(0, len(data), SOME)]
    return b"".join(skippable(len(frame).to_bytes(4, "little")) + frame for frame in frames)


def read_all(compressed: bytes, before: bytes = b"", piece: int = 700) -> bytes:
    """Return what a Stream makes of compressed data, which stands in its file between `before` and some bytes more.

    Raises Refused.
    """
    with tempfile.TemporaryFile() as file:
        file.write(before + compressed + b"more")
        file.flush()
        stream = Stream(Section(file.fileno(), len(before), len(compressed)))
        pieces = []
        while data := stream.read(piece):
            pieces.append(data)
        assert stream.read(piece) == b""
        return b"".join(pieces)
