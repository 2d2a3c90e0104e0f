"""The shared log: what is missing or replaced, reads that need a disk, and memory."""

from __future__ import annotations

import asyncio
import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from jsched.errors import DataLoss, Internal
from tests.unit.output.rig import Writer, descriptors, drain, rig

MIB = 1024 * 1024


def make_nothing(path: Path) -> None:
    """Leave the path empty."""


def make_link(path: Path) -> None:
    """Put a symbolic link to a file that can be read there."""
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_nothing, "log file .*/job of job job is gone"),
        (make_link, "was replaced by a symbolic link"),
        (os.mkfifo, "is no longer a regular file"),
        (os.mkdir, "is no longer a regular file"),
    ],
)
def test_a_log_that_is_gone_or_replaced_is_data_loss(make: object, message: str, tmp_path: Path) -> None:
    """What is no regular file is never read: all who ask get DataLoss with a hint, and nothing stays open."""
    path = tmp_path / "job"
    assert callable(make)
    make(path)

    async def main() -> None:
        async with rig() as made:
            asked = [made.follow(path) for _ in range(3)]
            for error in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(error, DataLoss)
                assert error.hint
                with pytest.raises(DataLoss, match=message):
                    raise error
            assert not descriptors(str(path))
            if path.is_fifo():
                path.unlink()
                path.write_bytes(b"back")
                assert await drain(await made.follow(path, ended=True)) == b"back"

    asyncio.run(main())


def test_a_log_that_may_not_be_opened_is_said(tmp_path: Path) -> None:
    """Any other failure to open carries the kernel's words."""

    async def main() -> None:
        async with rig() as made:
            with pytest.raises(Internal, match="can't be opened: File name too long"):
                await made.follow(tmp_path / ("x" * 300))

    asyncio.run(main())


def test_a_log_out_of_the_page_cache_is_read_in_a_thread(tmp_path: Path) -> None:
    """What is not in memory is None for read_nowait, which is not the end, and comes with read."""
    path = tmp_path / "job"
    content = os.urandom(MIB)
    path.write_bytes(content)

    def drop() -> None:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)

    async def main() -> None:
        async with rig() as made:
            missed = 0
            for _ in range(20):
                drop()
                follower = await made.follow(path, ended=True)
                if follower.read_nowait() is None:
                    assert not follower.finished
                    missed += 1
                start = follower.offset
                assert await drain(follower) == content[start:]
                drop()
                assert await drain(await made.follow(path, ended=True)) == content
            if not missed:
                pytest.skip("this file system keeps everything in memory")
        assert not descriptors(str(path))

    asyncio.run(main())


def test_many_who_need_the_same_disk_block_get_the_same_chunk(tmp_path: Path) -> None:
    """Followers that ask the disk for the same bytes at once cause one read and get its one chunk."""
    path = tmp_path / "job"
    path.write_bytes(b"x" * 1000)

    async def main() -> None:
        async with rig() as made:
            log = await made.logs.acquire("job", path, True)
            chunks = await asyncio.gather(*(log.read(0, 100) for _ in range(10)))
            assert len({id(chunk) for chunk in chunks}) == 1
            made.logs.release(log)
        assert not descriptors(str(path))

    asyncio.run(main())


def test_a_log_released_while_a_thread_reads_is_closed_after_it(tmp_path: Path) -> None:
    """The descriptor outlives a read under way, so that its number can't become another file's, and not for long."""
    path = tmp_path / "job"
    path.write_bytes(b"x" * MIB)

    async def main() -> None:
        async with rig() as made:
            log = await made.logs.acquire("job", path, True)
            reading = asyncio.create_task(log.read(0, MIB))
            await asyncio.sleep(0)
            made.logs.release(log)
            assert descriptors(str(path))
            assert (await reading).data == b"x" * MIB
            assert not descriptors(str(path))

    asyncio.run(main())


def test_a_file_system_in_memory_is_followed_too(writer: Writer) -> None:
    """On tmpfs, which may know RWF_NOWAIT or not, a log is followed from its first byte to its end."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no /dev/shm")

    async def main(directory: str) -> None:
        path = Path(directory) / "job"
        path.write_bytes(b"first ")
        async with rig() as made:
            reading = [asyncio.create_task(drain(await made.follow(path))) for _ in range(5)]
            for _ in range(20):
                writer.tell(path, [b"more "])
                await writer.written()
            made.logs.finish("job")
            assert {await each for each in reading} == {b"first " + b"more " * 20}

    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        asyncio.run(main(directory))


def test_a_slow_follower_holds_no_memory(tmp_path: Path) -> None:
    """While one follower stands still after its first chunk, another reads 64 MiB and memory stays under 8 MiB."""
    path = tmp_path / "job"
    path.write_bytes(bytes(64 * MIB))

    async def main() -> None:
        async with rig() as made, await made.follow(path, ended=True) as slow:
            await slow.read()
            fast = await made.follow(path, ended=True)
            tracemalloc.start()
            try:
                async for _ in fast:
                    pass
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert fast.offset == 64 * MIB
            assert peak < 8 * MIB
            chunk = await slow.read()
            assert chunk is not None
            assert chunk.offset == slow.offset - len(chunk.data) > 0

    asyncio.run(main())


def test_a_reader_that_never_waits_gives_the_loop_its_turns(tmp_path: Path) -> None:
    """Reading 64 MiB that is all in memory leaves the loop free at least once a MiB or two."""
    path = tmp_path / "job"
    path.write_bytes(bytes(64 * MIB))

    async def main() -> None:
        async with rig() as made, await made.follow(path, ended=True) as follower:
            turns = 0

            def count() -> None:
                nonlocal turns
                turns += 1
                asyncio.get_running_loop().call_soon(count)

            count()
            async for _ in follower:
                pass
            assert turns >= 32

    asyncio.run(main())


def test_a_log_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    """Who starts over after a log was cut gets what is in the file now, not what others read there before."""
    path = tmp_path / "job"
    path.write_bytes(b"old bytes")

    async def main() -> None:
        async with rig() as made, await made.follow(path) as first, await made.follow(path) as second:
            assert await first.read() == await second.read()
            os.truncate(path, 0)
            with pytest.raises(DataLoss):
                first.read_nowait()
            path.write_bytes(b"new")
            async with await made.follow(path) as third:
                chunk = await third.read()
                assert chunk is not None
                assert chunk.data == b"new"

    asyncio.run(main())


def test_a_follower_that_lags_gets_all_there_is(tmp_path: Path) -> None:
    """A follower that comes to an offset later gets what was written meanwhile too, not the others' short chunk."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"one")
        async with rig() as made:
            quick, late = await made.follow(path), await made.follow(path)
            chunk = await quick.read()
            assert chunk is not None
            assert chunk.data == b"one"
            with path.open("ab") as log:
                log.write(b", two, three")
            chunk = await quick.read()
            assert chunk is not None
            assert chunk.data == b", two, three"
            chunk = await late.read()
            assert chunk is not None
            assert chunk.data == b"one, two, three"
            await quick.aclose()
            await late.aclose()

    asyncio.run(main())
