from __future__ import annotations

import os
import tempfile

import pytest
import zstandard

from jsched.archive.refusal import Refused
from jsched.archive.section import Section
from jsched.archive.stream import Stream
from tests.helpers.compressed import read_all, skippable

DATA = b"some data, " * 50
MAGIC = b"\x28\xb5\x2f\xfd"
# A window of 1 KiB, and no size of the content.
HEADER = MAGIC + b"\0\0"


def block(content: bytes, *, kind: int = 0, last: bool = False, size: int | None = None) -> bytes:
    """Return a block of a zstd frame: 0 is raw, 1 one byte many times."""
    size = len(content) if size is None else size
    return (last | kind << 1 | size << 3).to_bytes(3, "little") + content


@pytest.mark.parametrize("kind", range(16))
def test_every_kind_of_skippable_frame_may_come_first(kind: int) -> None:
    """Data that begins with any of the sixteen magic numbers is taken for zstd; RFC 8878, section 3.1.2."""
    assert read_all(skippable(b"what it is for", kind=kind) + zstandard.compress(DATA)) == DATA


def test_every_form_of_a_frame_s_header_is_read() -> None:
    """Frames of all sizes, with and without the size of the content, a checksum and a window."""
    for size in (0, 1, 255, 256, 65_535, 65_791, 65_792, 300_000):
        data = os.urandom(100) * (size // 100) + bytes(size % 100)
        for content_size in (True, False):
            for checksum in (True, False):
                compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=content_size)
                assert read_all(compressor.compress(data) * 2) == data * 2
                stream = compressor.compressobj()
                assert read_all(stream.compress(data) + stream.flush()) == data


def test_blocks_without_content_are_taken() -> None:
    """A frame may have empty blocks anywhere, and consist of nothing else."""
    assert read_all(HEADER + block(b"") + block(b"ab") + block(b"") + block(b"", last=True)) == b"ab"
    assert read_all(HEADER + block(b"x", kind=1, size=1000) + block(b"y", last=True)) == b"x" * 1000 + b"y"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (HEADER + block(b"ab", kind=3, last=True), "a block is of a kind that is reserved"),
        (HEADER + block(b"x", kind=1, size=2000) + block(b"", last=True), "the zstd data is damaged"),
        (HEADER + block(b"x" * 2000, last=True), "the zstd data is damaged"),
        (MAGIC + b"\x20\x05" + block(b"abcd", last=True), "the zstd data is damaged"),
        (MAGIC + b"\x20\x05" + block(b"abcdef", last=True), "the zstd data is damaged"),
        (MAGIC + b"\x08\0" + block(b"ab", last=True), "the zstd data is damaged"),
        (MAGIC + b"\x01\0\x07" + block(b"ab", last=True), "the zstd data is damaged"),
        (MAGIC + b"\0\x89" + block(b"ab", last=True), "needs 150994944 bytes of memory"),
        (MAGIC + b"\0\xff" + block(b"ab", last=True), "needs 4123168604160 bytes of memory"),
        (MAGIC + b"\xe0" + b"\xff" * 8 + block(b"ab", last=True), "needs 18446744073709551615 bytes of memory"),
        (MAGIC, "is cut off"),
        (HEADER, "is cut off"),
        (HEADER + block(b"ab"), "is cut off"),
        (skippable(size=2**32 - 1), "is cut off"),
        (skippable(b"x" * 100, size=101), "is cut off"),
        (zstandard.compress(DATA) + skippable(b"abc", size=2**32 - 1), "is cut off"),
    ],
)
def test_a_frame_that_is_none_is_refused(frame: bytes, reason: str) -> None:
    """Blocks that contradict their frame, sizes that are not there, too large a window: refused, saying which."""
    with pytest.raises(Refused, match=reason):
        read_all(frame)


def test_the_window_that_zstd_long_makes_is_taken() -> None:
    """128 MiB of window are read, and no byte more."""
    assert read_all(MAGIC + b"\0\x88" + block(b"ab", last=True)) == b"ab"


def test_a_skippable_frame_is_not_read() -> None:
    """What is skipped costs nothing, however large it is, and buys no data: the ratio is that of the rest."""
    bomb = zstandard.compress(bytes(80_000_000))
    with tempfile.TemporaryFile() as file:
        size = 2**32 - 1
        file.write(skippable(size=size))
        file.seek(8 + size)
        file.write(bomb)
        file.flush()
        section = Section(file.fileno(), 0, 8 + size + len(bomb))
        reads = 0

        def read(count: int = -1) -> bytes:
            nonlocal reads
            data = Section.read(section, count)
            reads += len(data)
            return data

        section.read = read  # type: ignore[method-assign]
        stream = Stream(section)
        with pytest.raises(Refused, match="more than 200 bytes come out of each byte of its zstd data"):
            while stream.read(2**20):
                pass
        assert reads < 2**20


def test_without_the_library_zstd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where zstandard is not installed, data that begins with a frame of either kind is refused, saying so."""
    monkeypatch.setattr("jsched.archive.zstd.zstandard", None)
    for data in (zstandard.compress(DATA), skippable(b"x")):
        with pytest.raises(Refused, match="this server has no zstandard"):
            read_all(data)
