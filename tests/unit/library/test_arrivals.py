"""Archives on their way in: what does not arrive as it was announced, and two uploads of one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jsched.config import Config
from jsched.errors import (
    FailedPrecondition,
    InvalidArgument,
    OutOfRange,
    ResourceExhausted,
)
from jsched.library import RootfsLibrary
from jsched.rootfs import Archive
from tests.helpers.archives import digest
from tests.helpers.library import in_pieces, small_config, upload
from tests.helpers.small_disk import small_disk
from tests.helpers.wait import wait_until
from tests.unit.library.rig import GOOD, on_disk, queued, run


def test_what_arrives_at_another_place_than_expected_is_refused(config: Config) -> None:
    """An upload goes on exactly where it stands, and who is elsewhere is told where that is."""

    async def body(library: RootfsLibrary) -> None:
        archive = Archive("it", digest(GOOD), len(GOOD))
        with pytest.raises(OutOfRange, match="0 bytes of this archive have arrived, not 7"):
            await library.upload(archive, 7, in_pieces(GOOD[7:]), by="admin")
        assert on_disk(config) == set()
        with pytest.raises(InvalidArgument, match=f"ended after 100 of {len(GOOD)} bytes"):
            await library.upload(archive, 0, in_pieces(GOOD[:100]), by="admin")
        with pytest.raises(OutOfRange, match="100 bytes of this archive have arrived, not 0"):
            await upload(library, GOOD)
        assert (await library.upload(archive, 100, in_pieces(GOOD[100:]), by="admin")).size == 10

    run(config, body)


def test_what_is_not_what_was_announced_is_forgotten(config: Config) -> None:
    """Another digest, or more bytes than announced: refused, and the next attempt begins anew."""

    async def body(library: RootfsLibrary) -> None:
        archive = Archive("it", digest(GOOD), len(GOOD))
        with pytest.raises(InvalidArgument, match="what has arrived has the digest"):
            await library.upload(archive, 0, in_pieces(GOOD[:-1] + b"x"), by="admin")
        assert on_disk(config) == set()
        with pytest.raises(InvalidArgument, match="more bytes came than"):
            await library.upload(archive, 0, in_pieces(GOOD + b"x"), by="admin")
        assert on_disk(config) == set()
        await library.upload(archive, 0, in_pieces(GOOD), by="admin")

    run(config, body)


def test_a_second_upload_of_the_same_archive_takes_over(config: Config) -> None:
    """An upload whose connection is dead, which the server need not know, does not stand in the next one's way."""

    async def body(library: RootfsLibrary) -> None:
        archive = Archive("it", digest(GOOD), len(GOOD))
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        dead = asyncio.create_task(library.upload(archive, 0, queued(queue), by="admin"))
        queue.put_nowait(GOOD[:100])
        part = config.rootfs_dir / ".uploads" / archive.digest
        await asyncio.to_thread(wait_until, lambda: part.exists() and part.stat().st_size == 100, 10, "the first part")
        await library.upload(archive, 100, in_pieces(GOOD[100:]), by="admin")
        queue.put_nowait(GOOD[100:200])
        with pytest.raises(FailedPrecondition, match="another upload"):
            await dead
        assert on_disk(config) == {archive.digest}

    run(config, body)


def test_an_archive_that_is_too_large_is_not_read(config: Config, tmp_path: Path) -> None:
    """More bytes than are allowed, or than the disk has room for, are refused before the first comes."""

    async def body(library: RootfsLibrary) -> None:
        with pytest.raises(ResourceExhausted, match="and 1000 are allowed"):
            await upload(library, GOOD)

    strict = small_config(tmp_path, max_rootfs_archive=1000)
    run(strict, body)
    assert on_disk(strict) == set()

    async def full(library: RootfsLibrary) -> None:
        with pytest.raises(ResourceExhausted, match="the server's disk has room for"):
            await library.upload(Archive("it", "a" * 64, 4 * 2**30), 0, in_pieces(b""), by="admin")

    with small_disk(tmp_path / "disk", 8 * 1024 * 1024) as disk:
        run(small_config(disk), full)
