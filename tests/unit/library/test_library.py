from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator

import pytest

from jsched.config import Config
from jsched.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from jsched.library import RootfsLibrary
from jsched.library.partial import KEPT_SECONDS
from jsched.rootfs import Archive
from tests.helpers.archives import digest, member, tar
from tests.helpers.library import in_pieces, upload
from tests.helpers.wait import wait_until
from tests.unit.library.rig import GOOD, OTHER, on_disk, run


def test_a_tree_from_upload_to_deletion(config: Config) -> None:
    """An uploaded tree is listed, whole under its digest, and gone once it is deleted."""

    async def body(library: RootfsLibrary) -> None:
        rootfs = await upload(library, GOOD, "good")
        assert (rootfs.name, rootfs.digest, rootfs.size, rootfs.entries) == ("good", digest(GOOD), 10, 6)
        assert (rootfs.uploaded_by, rootfs.used_by) == ("admin", ())
        assert library.list() == (rootfs,)
        assert (library.path(rootfs.digest) / "usr/bin/tool").read_bytes() == b"#!/bin/sh\n"
        assert on_disk(config) == {rootfs.digest}
        assert await library.delete("good") == rootfs
        assert library.list() == ()
        assert on_disk(config) == set()
        with pytest.raises(NotFound):
            await library.delete("good")

    run(config, body)


def test_the_same_archive_is_unpacked_once(config: Config) -> None:
    """A second name for the same archive needs no bytes, and the tree stays until the last name is deleted."""

    async def body(library: RootfsLibrary) -> None:
        first = await upload(library, GOOD, "one")
        inode = os.stat(library.path(first.digest)).st_ino
        assert await library.received(first.digest) == (0, True)
        archive = Archive("two", digest(GOOD), len(GOOD))
        await library.upload(archive, 0, in_pieces(b""), by="bob")
        again = await upload(library, GOOD, "one")
        assert again == first
        assert [(rootfs.name, rootfs.uploaded_by) for rootfs in library.list()] == [("one", "admin"), ("two", "bob")]
        assert os.stat(library.path(first.digest)).st_ino == inode
        await library.delete("one")
        assert on_disk(config) == {first.digest}
        await library.delete("two")
        assert on_disk(config) == set()

    run(config, body)


def test_a_name_stands_for_one_archive(config: Config) -> None:
    """A name that is taken is not given to another archive, before a byte of that is read."""

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("the archive was read")
        yield b""

    async def body(library: RootfsLibrary) -> None:
        await upload(library, GOOD, "it")
        with pytest.raises(AlreadyExists, match="with other content"):
            await library.upload(Archive("it", digest(OTHER), len(OTHER)), 0, unread(), by="admin")
        assert on_disk(config) == {digest(GOOD)}

    run(config, body)


def test_a_tree_in_use_is_not_deleted(config: Config) -> None:
    """While jobs run in it the deletion is refused with their ids, and the list shows them."""
    users: list[str] = []

    async def body(library: RootfsLibrary) -> None:
        rootfs = await upload(library, GOOD, "good")
        users.extend(f"job-{number}" for number in range(12))
        assert library.list()[0].used_by == tuple(users)
        with pytest.raises(FailedPrecondition, match=r"used by jobs job-0, job-1, .*job-9 and 2 more"):
            await library.delete("good")
        users[1:] = []
        with pytest.raises(FailedPrecondition, match="used by job job-0"):
            await library.delete("good")
        assert library.path(rootfs.digest).is_dir()
        users.clear()
        await library.delete("good")

    run(config, body, in_use=lambda *_: users)


def test_a_tree_that_a_job_is_about_to_use_is_not_deleted(config: Config) -> None:
    """Who holds a tree finds it there until he lets go; who comes too late is told that there is none."""

    async def body(library: RootfsLibrary) -> None:
        await upload(library, GOOD, "good")
        with library.hold("good") as rootfs:
            with pytest.raises(FailedPrecondition, match="a job is being started"):
                await library.delete("good")
            assert library.path(rootfs.digest).is_dir()
        await library.delete("good")
        with pytest.raises(NotFound), library.hold("good"):
            raise AssertionError("there was something to hold")

    run(config, body)


def test_no_job_starts_in_a_tree_that_is_being_deleted(config: Config) -> None:
    """From the moment that a deletion is accepted nobody can hold the tree any more."""

    async def body(library: RootfsLibrary) -> None:
        await upload(library, GOOD, "good")
        deletion = asyncio.create_task(library.delete("good"))
        while not deletion.done():
            await asyncio.sleep(0)
            try:
                with library.hold("good") as rootfs:
                    assert library.path(rootfs.digest).is_dir()
                    assert not deletion.done()
            except NotFound:
                break
        await deletion

    run(config, body)


def test_a_deletion_is_done_even_if_nobody_waits(config: Config) -> None:
    """A caller who goes away leaves nothing half-deleted."""

    async def body(library: RootfsLibrary) -> None:
        await upload(library, GOOD, "good")
        deletion = asyncio.create_task(library.delete("good"))
        await asyncio.sleep(0)
        deletion.cancel()
        places = (config.rootfs_dir / ".staging", library.path(digest(GOOD)))
        gone = lambda: not any(place.exists() and os.listdir(place) for place in places)  # noqa: E731
        await asyncio.to_thread(wait_until, gone, 10, "the removal of the tree")
        assert library.list() == ()

    run(config, body)
    run(config, lambda library: _empty(library))


async def _empty(library: RootfsLibrary) -> None:
    assert library.list() == ()


def test_a_start_finds_what_there_is_and_sweeps_the_rest(config: Config) -> None:
    """Names and trees outlive the server; half-made trees, trees without a name and old uploads do not."""

    async def first(library: RootfsLibrary) -> None:
        await upload(library, GOOD, "good")
        await upload(library, OTHER, "other")

    async def second(library: RootfsLibrary) -> None:
        assert [rootfs.name for rootfs in library.list()] == ["good", "other"]
        assert on_disk(config) == {digest(GOOD), digest(OTHER), f".uploads/{'d' * 64}"}
        assert (await library.received("d" * 64)) == (3, False)

    run(config, first)
    (config.rootfs_dir / ("a" * 64) / "deep").mkdir(parents=True)
    (config.rootfs_dir / ("a" * 64) / "deep").chmod(0)
    (config.rootfs_dir / ".staging" / "b").mkdir()
    (config.rootfs_dir / ".staging" / "b" / "f").symlink_to("/etc/passwd")
    old = config.rootfs_dir / ".uploads" / ("c" * 64)
    old.write_bytes(b"old")
    os.utime(old, (time.time() - KEPT_SECONDS - 5,) * 2)
    (config.rootfs_dir / ".uploads" / ("d" * 64)).write_bytes(b"new")
    run(config, second)


def test_two_at_once_become_one_tree(config: Config) -> None:
    """The same archive under two names at the same time: both names stand for one tree."""

    async def body(library: RootfsLibrary) -> None:
        archive = Archive("one", digest(GOOD), len(GOOD))
        with pytest.raises(InvalidArgument):
            await library.upload(archive, 0, in_pieces(GOOD[:-1]), by="admin")
        await asyncio.gather(
            library.upload(archive, len(GOOD) - 1, in_pieces(GOOD[-1:]), by="admin"),
            upload(library, OTHER, "other"),
        )
        assert {rootfs.name for rootfs in library.list()} == {"one", "other"}
        assert on_disk(config) == {digest(GOOD), digest(OTHER)}

    run(config, body)


def test_a_server_that_goes_away_keeps_what_has_arrived(config: Config) -> None:
    """An unpacking that the end of the server cuts off is Unavailable, and the next server needs no byte again."""
    large = tar(*(member(f"f{number}", b"") for number in range(900)))
    archive = Archive("it", digest(large), len(large))

    async def first(library: RootfsLibrary) -> None:
        library.drain()
        with pytest.raises(Unavailable):
            await library.upload(archive, 0, in_pieces(large), by="admin")

    async def second(library: RootfsLibrary) -> None:
        assert await library.received(archive.digest) == (len(large), False)
        await library.upload(archive, len(large), in_pieces(b""), by="admin")

    run(config, first)
    assert on_disk(config) == {f".uploads/{archive.digest}"}
    run(config, second)
    assert on_disk(config) == {archive.digest}


def test_a_name_that_cannot_be_written_down_leaves_no_tree(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the database refuses, the tree is removed and the next upload works."""

    async def body(library: RootfsLibrary) -> None:
        insert = library._table.insert

        async def fail(*_: object) -> object:
            raise sqlite3.IntegrityError("as the test wants it")

        monkeypatch.setattr(library._table, "insert", fail)
        with pytest.raises(sqlite3.IntegrityError):
            await upload(library, GOOD)
        assert library.list() == ()
        assert not (config.rootfs_dir / digest(GOOD)).exists()
        monkeypatch.setattr(library._table, "insert", insert)
        archive = Archive("it", digest(GOOD), len(GOOD))
        await library.upload(archive, (await library.received(archive.digest))[0], in_pieces(b""), by="admin")
        assert on_disk(config) == {digest(GOOD)}

    run(config, body)


def test_the_loop_goes_on_while_an_archive_is_unpacked(config: Config) -> None:
    """Nothing that an upload does holds up the event loop for long."""
    large = tar(*(member(f"f{number}", b"x" * 10_000) for number in range(900)))

    async def body(library: RootfsLibrary) -> None:
        work = asyncio.create_task(upload(library, large))
        longest, began = 0.0, time.monotonic()
        while not work.done():
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)
        await work
        # Whatever this machine's speed, most of the work is done elsewhere.
        assert longest < (time.monotonic() - began) / 2

    run(config, body)
