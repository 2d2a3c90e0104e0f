"""Archives with something wrong anywhere in them: taken or refused, but never a defect, and never anything outside."""

from __future__ import annotations

import gzip
import lzma
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from jsched.archive.image import ImageArchive, begins_like_an_image
from jsched.archive.refusal import Budget, Limits, Refused
from jsched.archive.section import Section
from jsched.archive.stream import Stream
from jsched.archive.tree import Tree
from jsched.archive.unpack import make_mount_points, unpack
from tests.helpers.archives import BLOCK, docker_archive, hard_link, member, oci_archive, small, symlink, tar
from tests.helpers.compressed import like_pzstd, skippable

ATTEMPTS = 400
LIMITS = Limits(size=10_000_000, entries=1000, seconds=60)
ARCHIVES = (
    small(),
    tar(member("a/"), member("a/" + "x" * 150, b"y" * 700), symlink("l", "a"), hard_link("h", "a/" + "x" * 150)),
    tar(member("a/" + "y" * 150, b"z"), symlink("q", "t" * 180), format=tarfile.GNU_FORMAT),
    docker_archive([small(), tar(member("usr/.wh.bin", b""), member("b/.wh..wh..opq", b""), member("b/c", b"x"))]),
    oci_archive([small()], nested=True),
)
# Where a header's fields are and how long, and what might be written there; tar(5).
FIELDS = ((0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (156, 1), (157, 100), (345, 155))
VALUES = (
    b"../../../x",
    b"/etc/passwd",
    b"\0",
    b"77777777777",
    b"\x80" + b"\xff" * 11,
    b"\xff" * 12,
    b"proc",
    b"a/../b",
)
KINDS = b"0123456xgLKSDMV"


def with_another_byte(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def with_a_part_less(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randrange(1, 600)]


def with_a_block_twice(data: bytearray, chance: random.Random) -> None:
    source, target = (chance.randrange(len(data) // BLOCK) * BLOCK for _ in range(2))
    data[target:target] = data[source : source + BLOCK]


def with_another_field(data: bytearray, chance: random.Random) -> None:
    """Change a field of what may be a header, and give it the right checksum."""
    start = chance.randrange(len(data) // BLOCK) * BLOCK
    block = data[start : start + BLOCK]
    offset, length = chance.choice(FIELDS)
    value = bytes([chance.choice(KINDS)]) if length == 1 else chance.choice(VALUES)[:length]
    block[offset : offset + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    data[start : start + BLOCK] = block


def in_three(compress: Callable[[bytes], bytes], between: bytes) -> Callable[[bytes], bytes]:
    """Return what compresses to three streams, the second of them empty, with this between them and after them."""
    return lambda data: between.join([compress(data[:700]), compress(b""), compress(data[700:]), b""])


DAMAGES = (with_another_byte, with_another_byte, with_a_part_less, with_a_block_twice, with_another_field)
COMPRESSIONS: tuple[Callable[[bytes], bytes], ...] = (
    *[bytes] * 5,
    gzip.compress,
    lzma.compress,
    zstandard.compress,
    like_pzstd,
    in_three(gzip.compress, b"\0"),
    in_three(lzma.compress, bytes(8)),
    in_three(zstandard.compress, skippable(b"x" * 50)),
)


def damaged(chance: random.Random) -> bytes:
    data = bytearray(chance.choice(ARCHIVES))
    for _ in range(chance.choice((1, 1, 2, 5))):
        chance.choice(DAMAGES)(data, chance)
    data = bytearray(chance.choice(COMPRESSIONS)(bytes(data)))
    if chance.random() < 0.2:
        with_another_byte(data, chance)
    return bytes(data)


@pytest.mark.parametrize("seed", range(3))
def test_no_damage_is_a_defect_or_leads_out(tmp_path: Path, seed: int) -> None:
    """Whatever a damaged archive is taken for, nothing but Refused is raised, without any walls around."""
    chance = random.Random(seed)
    taken = 0
    for _ in range(ATTEMPTS):
        try:
            unpack_bytes(damaged(chance), tmp_path)
            taken += 1
        except Refused as refusal:
            assert refusal.reason.isprintable()
    assert 0 < taken < ATTEMPTS


@pytest.mark.parametrize(
    "compress",
    [
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(lzma.compress, id="xz"),
        pytest.param(zstandard.compress, id="zstd"),
        pytest.param(zstandard.ZstdCompressor(write_checksum=True).compress, id="zstd with a checksum"),
    ],
)
def test_a_compressed_archive_is_taken_whole_or_not_at_all(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """Cut off at any byte it is refused, even where all members came out, and so it is with anything after it."""
    whole = compress(small())
    unpack_bytes(whole, tmp_path)
    for end in range(len(whole)):
        with pytest.raises(Refused, match="is cut off" if end > 5 else "is cut off|not a tar"):
            unpack_bytes(whole[:end], tmp_path)
    for more in (b"x", b"\0\0\0\0x", b"PK\3\4", whole, gzip.compress(b"x"), lzma.compress(b"x"), skippable(size=1)):
        with pytest.raises(Refused):
            unpack_bytes(whole + more, tmp_path)


def unpack_bytes(content: bytes, directory: Path) -> None:
    """Unpack an archive below a directory, in which nothing else may be in the end, and remove its tree."""
    (directory / "archive").write_bytes(content)
    (directory / "tree").mkdir()
    with (directory / "archive").open("rb") as file:
        root = os.open(directory / "tree", os.O_RDONLY | os.O_DIRECTORY)
        try:
            unpack_here(Section(file.fileno(), 0, len(content)), root)
        finally:
            os.close(root)
            assert {path.name for path in directory.iterdir()} == {"archive", "tree"}
            shutil.rmtree(directory / "tree")


def unpack_here(archive: Section, root: int) -> None:
    """Do what the prisoner does, in this process."""
    tree, budget = Tree(root, own=False), Budget(LIMITS)
    try:
        if begins_like_an_image(archive) and not Stream(archive).compression:
            image = ImageArchive(Section(archive.descriptor, 0, archive.size), Budget(LIMITS))
            if image.is_image:
                for layer in image.layers():
                    unpack(Stream(layer), tree, budget, of_image=True)
                return
        unpack(Stream(Section(archive.descriptor, 0, archive.size)), tree, budget)
        make_mount_points(tree)
        tree.finish()
    finally:
        tree._forget_parents()
