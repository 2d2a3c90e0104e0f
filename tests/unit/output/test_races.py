"""Many followers and many rounds: no lost wake-up, no lost end, nobody's trouble is another's."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.output.rig import Writer, descriptors, drain, rig, turns_until

_ALTERNATE = """
import os, sys
count, *paths = sys.argv[1:]
fds = [os.open(path, os.O_WRONLY | os.O_APPEND) for path in paths]
for number in range(int(count)):
    for fd in fds:
        os.write(fd, b'%d\\n' % number)
os.write(os.open(paths[0] + '-late', os.O_WRONLY | os.O_APPEND), b'late')
"""


def test_a_write_that_races_with_the_wait_is_never_missed(tmp_path: Path, writer: Writer) -> None:
    """In thousands of rounds, a byte written about when the follower begins to wait always wakes it."""
    rounds = 3000

    async def main() -> None:
        rng = random.Random(1)
        path = tmp_path / "job"
        path.touch()
        async with rig() as made, await made.follow(path) as follower:
            for _ in range(rounds):
                writer.tell(path, [b"x"], rng.random() * 200e-6)
                chunk = await follower.read()
                assert chunk is not None
                assert chunk.data == b"x"
                # The pipe's answer comes just after the write; it is there or nearly so.
                writer.wait()
            assert follower.offset == rounds

    asyncio.run(main())


def test_a_first_wait_that_races_with_a_write_is_never_missed(tmp_path: Path, writer: Writer) -> None:
    """In hundreds of rounds with a new log each, a byte written while the watch is being made is not missed."""

    async def main() -> None:
        rng = random.Random(2)
        async with rig() as made:
            for number in range(500):
                path = tmp_path / f"job{number}"
                path.touch()
                writer.tell(path, [b"x"], rng.random() * 400e-6)
                async with await made.follow(path) as follower:
                    chunk = await follower.read()
                    assert chunk is not None
                    assert chunk.data == b"x"
                writer.wait()
            assert made.kernel_watches() == 0

    asyncio.run(main())


def test_the_end_that_races_with_the_last_write_loses_nothing(tmp_path: Path, writer: Writer) -> None:
    """In hundreds of rounds, a log finished right after its last write is read whole and then ends."""

    async def main() -> None:
        rng = random.Random(3)
        async with rig() as made:
            for number in range(500):
                path = tmp_path / f"job{number}"
                path.touch()
                reading = [asyncio.create_task(drain(await made.follow(path))) for _ in range(2)]
                if number % 3:
                    await turns_until(lambda: made.kernel_watches() == 1)
                writer.tell(path, [b"first", b"last"], rng.random() * 200e-6)
                if number % 2:
                    await writer.written()
                else:
                    # In this very turn of the loop, with the events of the writes still unread.
                    writer.wait()
                made.logs.finish(path.name)
                assert [await each for each in reading] == [b"firstlast"] * 2
            assert made.kernel_watches() == 0
        assert not descriptors(str(tmp_path))

    asyncio.run(main())


def test_an_end_that_comes_while_the_log_is_being_opened_is_heard(tmp_path: Path) -> None:
    """finish called between acquire and the opened file still ends the follower."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"all")
        async with rig() as made:
            for _ in range(100):
                opening = asyncio.create_task(made.follow(path))
                await asyncio.sleep(0)
                made.logs.finish("job")
                assert await drain(await opening) == b"all"

    asyncio.run(main())


def test_fifty_followers_early_midway_and_late(tmp_path: Path, writer: Writer) -> None:
    """Fifty followers of one log that join before, during, at and after the end each get every byte."""

    async def main() -> None:
        rng = random.Random(4)
        path = tmp_path / "job"
        path.touch()
        async with rig() as made:
            reading = []
            for _ in range(40):
                reading.append(asyncio.create_task(drain(await made.follow(path))))
                writer.tell(path, [rng.randbytes(rng.randint(0, 3000)) for _ in range(20)])
                await writer.written()
            reading += [asyncio.create_task(drain(await made.follow(path))) for _ in range(5)]
            assert made.kernel_watches() == 1
            assert len(descriptors(str(path))) == 1
            made.logs.finish("job")
            reading += [asyncio.create_task(drain(await made.follow(path, ended=True))) for _ in range(5)]
            content = path.read_bytes()
            assert all([await each == content for each in reading])
            assert made.kernel_watches() == 0
        assert not descriptors(str(path))

    asyncio.run(main())


def test_followers_at_one_offset_share_the_piece(tmp_path: Path, writer: Writer) -> None:
    """Followers that wait at the same offset wake to the very same piece, which was encoded once."""

    async def main() -> None:
        path = tmp_path / "job"
        path.touch()
        async with rig() as made:
            followers = [await made.follow(path) for _ in range(20)]
            reading = [asyncio.create_task(follower.read_piece()) for follower in followers]
            await turns_until(lambda: made.kernel_watches() == 1)
            writer.tell(path, [b"for all"])
            pieces = [await each for each in reading]
            assert len({id(piece) for piece in pieces}) == 1
            for follower in followers:
                await follower.aclose()
            assert made.kernel_watches() == 0

    asyncio.run(main())


def test_cancelling_one_follower_leaves_the_others(tmp_path: Path, writer: Writer) -> None:
    """A cancelled read neither wakes nor stops the others, loses no byte of its own, and can be repeated."""

    async def main() -> None:
        path = tmp_path / "job"
        path.touch()
        async with rig() as made:
            followers = [await made.follow(path) for _ in range(3)]
            reading = [asyncio.create_task(follower.read()) for follower in followers]
            await turns_until(lambda: made.kernel_watches() == 1)
            reading[0].cancel()
            await asyncio.gather(reading[0], return_exceptions=True)
            assert reading[0].cancelled()
            assert not reading[1].done()
            writer.tell(path, [b"x"])
            for each in (*reading[1:], asyncio.create_task(followers[0].read())):
                chunk = await each
                assert chunk is not None
                assert chunk.data == b"x"
            for follower in followers:
                await follower.aclose()
        assert not descriptors(str(path))

    asyncio.run(main())


def test_a_read_cancelled_in_the_turn_of_the_end_disturbs_nobody(tmp_path: Path) -> None:
    """A read that is cancelled just before the log is finished leaves the end to the others."""

    async def main() -> None:
        path = tmp_path / "job"
        path.touch()
        async with rig() as made:
            followers = [await made.follow(path) for _ in range(2)]
            reading = [asyncio.create_task(follower.read()) for follower in followers]
            await turns_until(lambda: made.kernel_watches() == 1)
            reading[0].cancel()
            made.logs.finish("job")
            assert await reading[1] is None
            assert await followers[0].read() is None

    asyncio.run(main())


def test_cancelled_reads_leave_nothing_behind(tmp_path: Path) -> None:
    """Reads that are cancelled while a log is silent, over and over, don't pile up anywhere."""

    async def main() -> None:
        path = tmp_path / "job"
        path.touch()
        async with rig() as made, await made.follow(path) as follower:
            before = 0
            for number in range(300):
                reading = asyncio.create_task(follower.read())
                await asyncio.sleep(0)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                if number == 100:
                    before = sum(isinstance(each, asyncio.Future) for each in gc.get_objects())
            assert sum(isinstance(each, asyncio.Future) for each in gc.get_objects()) < before + 50

    asyncio.run(main())


def test_cancelled_acquires_leave_nothing_open(tmp_path: Path) -> None:
    """Acquires cancelled while the file is being opened leave no descriptor, and don't disturb the one that stays."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"x")
        async with rig() as made:
            for _ in range(50):
                opening = [asyncio.create_task(made.follow(path)) for _ in range(3)]
                await asyncio.sleep(0)
                opening[0].cancel()
                opening[2].cancel()
                await (await opening[1]).aclose()
                opening = [asyncio.create_task(made.follow(path))]
                await asyncio.sleep(0)
                opening[0].cancel()
                await asyncio.gather(*opening, return_exceptions=True)
            await turns_until(lambda: not descriptors(str(path)))

    asyncio.run(main())


def test_an_overflowing_queue_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the loop held up and the kernel's queue overflowing, every follower still gets every byte."""
    queued = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    paths = [tmp_path / name for name in ("one", "two", "one-late")]
    for path in paths:
        path.touch()

    async def main() -> None:
        async with rig() as made:
            reading = [asyncio.create_task(drain(await made.follow(path))) for path in paths]
            await turns_until(lambda: made.kernel_watches() == 3)
            # Blocks the loop on purpose: nobody empties the queue meanwhile.
            subprocess.run(  # noqa: ASYNC221
                [sys.executable, "-c", _ALTERNATE, str(queued), *map(str, paths[:2])], check=True, timeout=60
            )
            late = await made.follow(paths[2], 0)
            await turns_until(lambda: "overflowed" in caplog.text)
            chunk = await late.read()
            assert chunk is not None
            assert chunk.data == b"late"
            await late.aclose()
            for path, each in zip(paths, reading, strict=True):
                made.logs.finish(path.name)
                assert await each == path.read_bytes()
            assert made.kernel_watches() == 0

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())


def test_followers_that_come_while_the_log_is_being_opened(tmp_path: Path) -> None:
    """Whoever asks for a log in whichever turn of the loop while a thread opens it gets the open log."""

    async def main() -> None:
        async with rig() as made:
            for number in range(200):
                path = tmp_path / str(number)
                path.write_bytes(b"some")
                asked = [asyncio.create_task(made.follow(path, ended=True))]
                while not asked[0].done():
                    asked.append(asyncio.create_task(made.follow(path, ended=True)))
                    await asyncio.sleep(0)
                for follower in await asyncio.gather(*asked):
                    assert await drain(follower) == b"some"

    asyncio.run(main())
