"""Root file systems that exist for one user alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from jsched.config import Config
from jsched.errors import AlreadyExists, FailedPrecondition, InvalidArgument, JschedError, NotFound
from jsched.library import RootfsLibrary
from jsched.rootfs import Archive, Rootfs
from tests.helpers.archives import digest, member, small, tar
from tests.helpers.library import a_library, in_pieces, small_config

GOOD = small()
OTHER = tar(member("other", b"other"))


def run(tmp_path: Path, body: Callable[[RootfsLibrary, Config], Awaitable[None]], **more: object) -> None:
    async def main() -> None:
        config = small_config(tmp_path)
        async with asyncio.timeout(50), a_library(config, **more) as library:  # type: ignore[arg-type]
            await body(library, config)

    asyncio.run(main())


async def uploaded(library: RootfsLibrary, name: str, by: str, content: bytes = GOOD) -> Rootfs:
    """Upload all of an archive, as who sees nothing but what is his."""
    archive = Archive(name, digest(content), len(content))
    return await library.upload(archive, 0, in_pieces(content), by=by, visible_to=by)


async def told(attempt: Callable[[], Awaitable[object]]) -> tuple[type[JschedError], str, str, str]:
    """Return all that a caller is told of what is refused."""
    with pytest.raises(JschedError) as raised:
        await attempt()
    return type(raised.value), raised.value.message, raised.value.obj, raised.value.hint


def test_a_tree_exists_for_its_owner(tmp_path: Path) -> None:
    """Anybody else lists none, and can hold and delete none, with the words for one that never was."""

    async def body(library: RootfsLibrary, _: Config) -> None:
        async def hold(by: str) -> None:
            with library.hold("mine", visible_to=by):
                pass

        never = await told(lambda: library.delete("mine", visible_to="bob"))
        assert never[0] is NotFound
        mine = await uploaded(library, "mine", "alice")
        assert library.list(visible_to="bob") == ()
        assert library.list(visible_to="alice") == library.list() == (mine,)
        assert await told(lambda: library.delete("mine", visible_to="bob")) == never
        assert await told(lambda: hold("bob")) == never
        await hold("alice")
        assert await library.delete("mine", visible_to="alice") == mine

    run(tmp_path, body)


def test_a_digest_is_no_proof(tmp_path: Path) -> None:
    """Who knows the digest of a tree that he does not see gets it by sending all of the archive, and not otherwise."""

    async def body(library: RootfsLibrary, config: Config) -> None:
        await uploaded(library, "alices", "alice")
        archive = Archive("bobs", digest(GOOD), len(GOOD))
        assert await library.received(archive.digest, visible_to="bob") == (0, False)
        assert await library.received(archive.digest, visible_to="alice") == (0, True)
        with pytest.raises(InvalidArgument, match="ended after 0 of"):
            await library.upload(archive, 0, in_pieces(b""), by="bob", visible_to="bob")
        with pytest.raises(InvalidArgument, match="has the digest"):
            await library.upload(archive, 0, in_pieces(bytes(len(GOOD))), by="bob", visible_to="bob")
        assert library.list(visible_to="bob") == ()
        tree = library.path(archive.digest)
        inode = tree.stat().st_ino
        bobs = await uploaded(library, "bobs", "bob")
        assert library.list(visible_to="bob") == (bobs,)
        assert tree.stat().st_ino == inode
        assert await library.received(archive.digest, visible_to="bob") == (0, True)
        assert list((config.rootfs_dir / ".uploads").iterdir()) == []

    run(tmp_path, body)


def test_what_others_have_sent_is_not_gone_on_with(tmp_path: Path) -> None:
    """An upload that is under way is nobody else's: neither is it told of, nor ended by theirs."""

    async def body(library: RootfsLibrary, _: Config) -> None:
        archive = Archive("alices", digest(GOOD), len(GOOD))
        rest: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        begun = asyncio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            yield GOOD[:100]
            begun.set()
            yield await rest

        upload = asyncio.create_task(library.upload(archive, 0, pieces(), by="alice", visible_to="alice"))
        await begun.wait()
        assert await library.received(archive.digest, visible_to="alice") == (100, False)
        assert await library.received(archive.digest, visible_to="bob") == (0, False)
        bobs = await uploaded(library, "bobs", "bob")
        rest.set_result(GOOD[100:])
        alices = await upload
        assert {rootfs.name for rootfs in library.list()} == {bobs.name, alices.name}

    run(tmp_path, body)


@pytest.mark.parametrize("content", [GOOD, OTHER])
def test_a_name_is_taken(tmp_path: Path, content: bytes) -> None:
    """A name of somebody else's is refused alike for the same and for other content, before a byte is read."""

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("the archive was read")
        yield b""

    async def body(library: RootfsLibrary, _: Config) -> None:
        await uploaded(library, "it", "alice")
        archive = Archive("it", digest(content), len(content))
        assert await told(lambda: library.upload(archive, 0, unread(), by="bob", visible_to="bob")) == (
            AlreadyExists,
            "the name 'it' is taken",
            "it",
            "choose another name",
        )

    run(tmp_path, body)


def test_others_jobs_are_not_told_of(tmp_path: Path) -> None:
    """Who sees his own jobs alone reads no others' ids, neither in the list nor in a refusal."""
    jobs = {"job-a": "alice", "job-b": "bob"}

    def in_use(_: str, visible_to: str | None) -> list[str]:
        return [job for job, owner in jobs.items() if visible_to in (None, owner)]

    async def body(library: RootfsLibrary, _: Config) -> None:
        await uploaded(library, "it", "alice")
        assert library.list()[0].used_by == ("job-a", "job-b")
        assert library.list(visible_to="alice")[0].used_by == ("job-a",)
        told_of = await told(lambda: library.delete("it", visible_to="alice"))
        assert told_of[:2] == (FailedPrecondition, "root file system 'it' is used by job job-a")
        del jobs["job-a"]
        assert (await told(lambda: library.delete("it", visible_to="alice")))[
            1
        ] == "root file system 'it' is used by jobs"
        # Under another name the tree stays, and jobs do not notice.
        await uploaded(library, "second", "bob")
        await library.delete("it", visible_to="alice")
        assert library.path(digest(GOOD)).is_dir()
        jobs.clear()
        await library.delete("second", visible_to="bob")
        assert not library.path(digest(GOOD)).exists()

    run(tmp_path, body, in_use=in_use)
