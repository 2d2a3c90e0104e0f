from __future__ import annotations

import gzip
import lzma
import random
import re
from collections.abc import Callable

import pytest
import zstandard

from jsched.archive.refusal import Refused
from tests.helpers.compressed import like_pzstd, read_all, skippable

Compress = Callable[[bytes], bytes]
# Does not shrink, so that there are many blocks in any format.
DATA = random.Random(1).randbytes(300_000)
SHORT = b"some data, " * 8

FORMATS = [
    pytest.param(gzip.compress, b"", id="gzip"),
    pytest.param(gzip.compress, bytes(512), id="gzip, zeros"),
    pytest.param(lzma.compress, b"", id="xz"),
    pytest.param(lzma.compress, bytes(4), id="xz, padding"),
    pytest.param(lzma.compress, bytes(20_000), id="xz, much padding"),
    pytest.param(zstandard.compress, b"", id="zstd"),
    pytest.param(zstandard.compress, skippable(), id="zstd, empty skippable frames"),
    pytest.param(zstandard.compress, skippable(b"x" * 300_000, kind=15), id="zstd, large skippable frames"),
    pytest.param(like_pzstd, b"", id="pzstd"),
]
EACH = pytest.mark.parametrize(
    ("name", "compress"), [("gzip", gzip.compress), ("xz", lzma.compress), ("zstd", zstandard.compress)]
)


@pytest.mark.parametrize(("compress", "between"), FORMATS)
def test_all_streams_are_read_and_what_may_stand_between_them_is_not(compress: Compress, between: bytes) -> None:
    """Several streams give the whole, with padding between them and after them, and with empty ones among them."""
    streams = [compress(part) for part in (DATA[:1], b"", DATA[1:150_000], b"", DATA[150_000:], b"")]
    assert read_all(between.join(streams) + between, before=b"elsewhere") == DATA
    assert read_all(compress(b"") + between + compress(b"")) == b""


@pytest.mark.parametrize(("compress", "between"), FORMATS)
@pytest.mark.parametrize("count", [1, 511, 10**6])
def test_the_size_of_what_is_read_at_once_changes_nothing(compress: Compress, between: bytes, count: int) -> None:
    """All of the data comes out in pieces of any size."""
    assert read_all(compress(SHORT) + between + compress(SHORT), piece=count) == SHORT * 2


@pytest.mark.parametrize(("compress", "between"), FORMATS)
def test_data_that_is_cut_off_at_any_byte_is_refused(compress: Compress, between: bytes) -> None:
    """Only the end of a stream, or of what may stand after it, is an end."""
    first = compress(SHORT)
    whole = first + between[:40] + compress(SHORT)
    for end in range(8, len(whole)):
        try:
            found = read_all(whole[:end])
        except Refused as refusal:
            assert re.search("is cut off|not a multiple of four", refusal.reason), (end, refusal.reason)
        else:
            assert found == (SHORT if end >= len(first) else b"")


@EACH
@pytest.mark.parametrize("garbage", [b"x", b"garbage that is longer", b"\0\0\0\0x", b"\x1f\x8c" + bytes(30)])
def test_what_follows_compressed_data_is_refused(name: str, compress: Compress, garbage: bytes) -> None:
    """Whatever comes after a stream and is none is refused, and not left out."""
    with pytest.raises(Refused, match=f"{name} data"):
        read_all(compress(SHORT) + garbage)


@EACH
def test_a_stream_of_another_compression_is_refused(name: str, compress: Compress) -> None:
    """What several formats follow each other in is no format that anybody writes."""
    for other in (gzip.compress, lzma.compress, zstandard.compress):
        if other is not compress:
            with pytest.raises(Refused, match=f"{name} data"):
                read_all(compress(SHORT) + other(SHORT))


@EACH
def test_no_flipped_bit_gives_other_data(name: str, compress: Compress) -> None:
    """Whichever bit of compressed data is another: it is refused, or its data is as it was."""
    whole = zstd_with_checksum(SHORT) if name == "zstd" else compress(SHORT)
    for bit in range(8 * 8, 8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert read_all(bytes(damaged)) == SHORT
        except Refused as refusal:
            assert name in refusal.reason


def zstd_with_checksum(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 4097])
def test_the_padding_of_xz_is_a_multiple_of_four(size: int) -> None:
    """Padding of another size is refused, between streams and after them; the .xz file format, section 2.2."""
    for after in (lzma.compress(SHORT), b""):
        with pytest.raises(Refused, match=f"its padding has {size} bytes"):
            read_all(lzma.compress(SHORT) + bytes(size) + after)
