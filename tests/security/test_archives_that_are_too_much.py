"""Archives that want too much or are not whole: each refused with the reason, and nothing left behind."""

from __future__ import annotations

import asyncio
import gzip
import lzma
import os
import re
import tarfile
from pathlib import Path

import pytest
import zstandard

from jsched.config import Config
from jsched.errors import InvalidArgument, ResourceExhausted
from jsched.library import RootfsLibrary
from jsched.rootfs import Archive
from tests.helpers.archives import (
    digest,
    header,
    member,
    pax,
    record,
    small,
    symlink,
    tar,
)
from tests.helpers.compressed import skippable
from tests.helpers.library import a_library, in_pieces, refusal, small_config, upload
from tests.helpers.trees import picture

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return small_config(tmp_path)


def sparse() -> bytes:
    """Return a file that says to be 1 TiB long, and is all holes."""
    return pax(record(b"GNU.sparse.size", b"1099511627776") + record(b"GNU.sparse.map", b"0,0")) + tar(member("s", b""))


MEBIBYTE = 1024 * 1024
END = bytes(1024)
LARGE = bytes(80 * MEBIBYTE)


def many_members(count: int) -> bytes:
    """Return a compressed archive of that many members."""
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    thousand = tarfile.TarInfo("f").tobuf() * 1000
    pieces = [compressor.compress(thousand) for _ in range(count // 1000)]
    return b"".join([*pieces, compressor.compress(END), compressor.flush()])


def zeros() -> bytes:
    """Return 1 MiB of zeros as a zstd frame, and a skippable frame."""
    return zstandard.compress(LARGE[:MEBIBYTE]) + skippable(b"x" * 10_000)


TOO_MUCH = [
    ("a gzip bomb", lambda: gzip.compress(header("bomb", len(LARGE)) + LARGE, 9), "67108864 bytes that are allowed"),
    (
        "an xz bomb",
        lambda: lzma.compress(header("bomb", len(LARGE)) + LARGE, preset=0),
        "67108864 bytes that are allowed",
    ),
    ("a zstd bomb", lambda: zstandard.compress(header("bomb", len(LARGE)) + LARGE), "67108864 bytes that are allowed"),
    ("a bomb of padding", lambda: gzip.compress(small() + LARGE[: 10 * MEBIBYTE]), "zeros follow"),
    (
        "a bomb behind a header",
        lambda: gzip.compress(header("x", 60 * MEBIBYTE) + LARGE[: 60 * MEBIBYTE] + END, 9),
        "200 bytes come out",
    ),
    ("a file that says to be huge", lambda: header("huge", 2**62), "bytes that are allowed"),
    ("a bomb of many frames", lambda: zstandard.compress(header("bomb", len(LARGE))) + zeros() * 80, "67108864 bytes"),
    (
        "a bomb of many frames behind a header",
        lambda: zstandard.compress(header("x", 60 * MEBIBYTE)) + zeros() * 60 + zstandard.compress(END),
        "200 bytes come out",
    ),
    ("a bomb of padding in frames", lambda: zstandard.compress(small()) + zeros() * 10, "zeros follow"),
    ("a million members", lambda: many_members(1_000_000), "more than 1000 members"),
    (
        "a huge pax header",
        lambda: pax(record(b"comment", b"x" * 2 * MEBIBYTE)) + tar(member("x", b"x")),
        "before member 1: a header's extension has .* more than",
    ),
    (
        "a pax header of an exabyte",
        lambda: header("x", 2**60, tarfile.XHDTYPE),
        "before member 1: a header's extension has",
    ),
    (
        "a long name of a gigabyte",
        lambda: header("x", 2**30, tarfile.GNUTYPE_LONGNAME),
        "before member 1: a header's extension has",
    ),
]


@pytest.mark.parametrize(("make", "reason"), [pytest.param(*case, id=name) for name, *case in TOO_MUCH])
def test_whatever_is_too_much_is_refused(config: Config, make: object, reason: str) -> None:
    """Each bomb is ResourceExhausted with the limit that it met, and the disk is as it was."""
    error = refusal(config, make())  # type: ignore[operator]
    assert type(error) is ResourceExhausted
    assert re.search(reason, error.message), error.message


NOT_WHOLE = [
    ("no tar", b"hello\n" * 1000, "this is not a tar archive"),
    ("short", b"x", "this is not a tar archive"),
    ("a zip", b"PK\3\4" + bytes(2000), "this is not a tar archive"),
    ("gzip of no tar", gzip.compress(b"hello\n" * 1000), "this is not a tar archive"),
    (
        "no end mark",
        small()[: 6 * 512 + 512],
        "after member 6 './bin': the archive is cut off: its end mark is missing",
    ),
    ("a damaged header", small()[:512] + b"\xff" * 512 + small()[1024:], "after member 1 '.': the header is damaged"),
    ("cut in a file", header("f", 5000) + bytes(1000), "the archive ends in the middle of this file"),
    ("cut in a pax header", header("f", 5000, tarfile.XHDTYPE) + bytes(1000), "in the middle of a header"),
    ("only a pax header", pax(record(b"path", b"x")) + END, "a member that does not come"),
    (
        "a thousand pax headers",
        pax(record(b"path", b"x")) * 1000 + tar(member("x", b"")),
        "before member 1: more than 8 headers",
    ),
    ("a damaged pax header", pax(b"12 path=") + tar(member("x", b"")), "a pax header is damaged"),
    ("a pax header without end", pax(b"9" * 30 + b" path=x\n") + tar(member("x", b"")), "a pax header is damaged"),
    ("a pax size that is none", pax(record(b"size", b"-x")) + tar(member("x", b"")), "its size is not a number"),
    ("a negative size", pax(record(b"size", b"-5")) + tar(member("x", b"")), "its size is -5 bytes"),
    ("a link with content", pax(record(b"size", b"512")) + tar(symlink("x", "y")), "its size is 512 bytes"),
    ("a directory with content", header("d", 512, tarfile.DIRTYPE) + bytes(512) + END, "its size is 512 bytes"),
    ("a global name", pax(record(b"path", b"x"), b"g") + tar(member("x", b"")), "a global header sets the path"),
    ("a sparse file", sparse(), "it is a sparse file"),
    ("an old sparse file", header("s", 0, tarfile.GNUTYPE_SPARSE) + END, "it is a sparse file"),
    ("data after the end", small() + b"more", "data follows the archive's end mark"),
    ("two archives", small() + small(), "data follows the archive's end mark"),
    *(
        (f"two archives, {name}", first + second, "data follows the archive's end mark")
        for name, first, second in (
            ("gzip", gzip.compress(small()), gzip.compress(small())),
            ("gzip with zeros", gzip.compress(small()) + bytes(512), gzip.compress(small())),
            ("xz", lzma.compress(small()), lzma.compress(small())),
            ("xz with padding", lzma.compress(small()) + bytes(512), lzma.compress(small())),
            ("zstd", zstandard.compress(small()), zstandard.compress(small())),
            ("zstd with skippable frames", zstandard.compress(small()) + skippable(b"x"), zstandard.compress(small())),
        )
    ),
    ("garbage after xz", lzma.compress(small()) + b"more", "is no more xz data"),
    ("cut after a file", header("f", 512) + bytes(512), "after member 1 'f': the archive is cut off"),
    ("a pax header before the end", tar(member("f", b""))[:512] + pax(b"x") + END, "after member 1 'f': a pax header"),
    ("cut after a pax header", pax(record(b"path", b"x")), "before member 1: the archive is cut off"),
    (
        "a header of negative size",
        header("x", -5, tarfile.GNUTYPE_LONGNAME) + END,
        "is -5 bytes, which is not possible",
    ),
    ("small and cut gzip", gzip.compress(small())[:20], "refused: the gzip data is cut off"),
    ("small and cut zstd", zstandard.compress(small())[:20], "refused: the zstd data is cut off"),
    ("cut gzip", gzip.compress(small())[:-12], "the gzip data is cut off"),
    ("gzip with a wrong sum", gzip.compress(small())[:-8] + bytes(8), "the gzip data is damaged"),
    ("cut xz", lzma.compress(small())[:-20], "the xz data is cut off"),
    ("cut zstd", zstandard.compress(small())[:-20], "the zstd data is cut off"),
    (
        "zstd without its checksum",
        zstandard.ZstdCompressor(write_checksum=True).compress(small())[:-4],
        "the zstd data is cut off",
    ),
    ("skippable frames alone", skippable(b"x") * 1000, "this is not a tar archive"),
    ("a skippable frame of 4 GiB", skippable(size=2**32 - 1) + zstandard.compress(small()), "the zstd data is cut off"),
    ("damaged zstd", zstandard.compress(small())[:6] + b"\xff" * 90, "the zstd data is damaged"),
    ("a long component", tar(member("x" * 256, b"")), "is longer than 255 bytes"),
    ("a long name", tar(member("/".join(["x" * 200] * 25), b"")), "is longer than 4095 bytes"),
    ("a deep name", tar(member("/".join(["x"] * 200), b"")), "has more than 128 directories"),
    ("a long target", tar(symlink("x", "y" * 5000)), "is longer than 4095 bytes"),
]


@pytest.mark.parametrize(("content", "reason"), [pytest.param(*case, id=name) for name, *case in NOT_WHOLE])
def test_whatever_is_not_whole_is_refused(config: Config, content: bytes, reason: str) -> None:
    """Damaged, cut and contradictory archives are refused, saying what is wrong with them."""
    error = refusal(config, content)
    assert re.search(reason, error.message), error.message


def test_an_upload_that_is_cut_off_at_any_byte_can_be_gone_on_with(config: Config) -> None:
    """After each byte at which it may be cut off the server knows where it stands, and the whole is taken."""
    content = zstandard.compress(small())
    archive = Archive("it", digest(content), len(content))

    async def main() -> None:
        async with a_library(config) as library:
            for cut in range(1, len(content)):
                await in_part(library, content[:cut])
                assert await library.received(archive.digest) == (cut, False)
                await in_part(library, content[cut:cut], cut)
                assert await library.received(archive.digest) == (cut, False)
                (config.rootfs_dir / ".uploads" / archive.digest).unlink()
            await in_part(library, content[:-1])
            done = await library.upload(archive, len(content) - 1, in_pieces(content[-1:]), by="admin")
            assert library.list() == (done,)

    async def in_part(library: RootfsLibrary, part: bytes, offset: int = 0) -> None:
        with pytest.raises(InvalidArgument, match="the upload ended after"):
            await library.upload(archive, offset, in_pieces(part), by="admin")

    asyncio.run(main())
    assert set(os.listdir(config.rootfs_dir)) == {".staging", ".uploads", archive.digest}


def test_an_archive_that_is_cut_off_at_any_block_is_refused(config: Config) -> None:
    """However much of an archive comes with a digest of its own, only the whole is taken."""
    content = small()
    whole = content.rstrip(b"\0")

    async def main() -> None:
        async with a_library(config) as library:
            for end in range(100, len(whole), 256):
                with pytest.raises(InvalidArgument):
                    await upload(library, content[:end])
            assert library.list() == ()

    asyncio.run(main())
    assert set(picture(config.rootfs_dir)) == {".", ".staging", ".uploads"}
