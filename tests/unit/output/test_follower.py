"""What one follower reads: from any offset, in any chunks, by line, to the end and not beyond."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from jsched.errors import (
    DataLoss,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    JschedError,
    OutOfRange,
    Unavailable,
)
from jsched.output.lines import MAX_LINE
from tests.unit.output.rig import Writer, descriptors, drain, rig, turns_until


@pytest.mark.parametrize("seed", range(12))
def test_any_offset_and_chunk_size_gives_the_file(seed: int, tmp_path: Path, writer: Writer) -> None:
    """Whatever a process writes, a follower's bytes from any offset in chunks of any size are the file's."""

    async def main() -> None:
        rng = random.Random(seed)
        path = tmp_path / "job"
        start = rng.randbytes(rng.choice([0, 1, 5000]))
        path.write_bytes(start)
        async with rig() as made:
            offsets = [rng.randint(0, len(start)) for _ in range(6)]
            followers = [await made.follow(path, at, chunk_size=rng.choice([1, 7, 4096, 1 << 18])) for at in offsets]
            tasks = [asyncio.create_task(drain(follower)) for follower in followers]
            for _ in range(10):
                pieces = [rng.randbytes(rng.choice([0, 1, 3, 80, 2000])) for _ in range(rng.randint(1, 5))]
                writer.tell(path, pieces, rng.random() / 1000)
                await writer.written()
            made.logs.finish("job")
            content = path.read_bytes()
            for at, task in zip(offsets, tasks, strict=True):
                assert await task == content[at:]

    asyncio.run(main())


@pytest.mark.parametrize("content", [b"", b"x", b"no newline", b"\0\xff\r\n\x1b[2J", bytes(range(256)) * 4096])
@pytest.mark.parametrize("follow", [True, False])
def test_an_ended_log_is_read_whole(content: bytes, follow: bool, tmp_path: Path) -> None:
    """The log of an ended job comes whole and then ends, followed or not, without any watch."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(content)
        async with rig() as made:
            assert await drain(await made.follow(path, ended=True, follow=follow, chunk_size=1000)) == content
            assert made.kernel_watches() == 0

    asyncio.run(main())


def test_without_follow_it_ends_at_the_size_of_the_first_read(tmp_path: Path) -> None:
    """Without follow, bytes that come after the first read are not read, though those before it are."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"12345")
        async with rig() as made:
            follower = await made.follow(path, follow=False, chunk_size=2)
            with path.open("ab") as log:
                log.write(b"67")
            first = await follower.read()
            with path.open("ab") as log:
                log.write(b"89")
            assert first is not None
            assert first.data + await drain(follower) == b"1234567"
            assert made.kernel_watches() == 0

    asyncio.run(main())


def test_after_the_end_it_stays_ended(tmp_path: Path) -> None:
    """Once None was returned, every later read gives None, even closed, and the descriptor is gone before that."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"x")
        async with rig() as made:
            follower = await made.follow(path, ended=True)
            assert not follower.finished
            assert await follower.read() is not None
            assert await follower.read() is None
            assert follower.finished
            assert not descriptors(str(path))
            await follower.aclose()
            assert await follower.read() is None
            assert follower.read_nowait() is None

    asyncio.run(main())


def test_read_nowait_gives_what_is_there_and_tells_the_end_apart(tmp_path: Path) -> None:
    """read_nowait sees a write at once, gives None without `finished` before the end and with it after."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"one")
        async with rig() as made:
            follower = await made.follow(path)
            chunk = follower.read_nowait()
            assert chunk is not None
            assert chunk.data == b"one"
            assert follower.read_nowait() is None
            assert not follower.finished
            with path.open("ab") as log:
                log.write(b"two")
            chunk = follower.read_nowait()
            assert chunk is not None
            assert (chunk.offset, chunk.data, chunk.end) == (3, b"two", 6)
            made.logs.finish("job")
            assert follower.read_nowait() is None
            assert follower.finished

    asyncio.run(main())


@pytest.mark.parametrize(
    ("offset", "kind", "message"),
    [
        (10, OutOfRange, "offset 10 is past the end of the output, which has 5 bytes"),
        (2**64 - 1, OutOfRange, "past the end"),
        (-1, InvalidArgument, "offset -1 is negative"),
    ],
)
def test_an_impossible_offset_is_refused(offset: int, kind: type[JschedError], message: str, tmp_path: Path) -> None:
    """An offset past the end or below zero is refused in words, and nothing stays open."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"12345")
        async with rig() as made:
            with pytest.raises(kind, match=message):
                await made.follow(path, offset)
            assert not descriptors(str(path))
            assert await drain(await made.follow(path, 5, ended=True)) == b""

    asyncio.run(main())


def joined_lines(content: bytes) -> list[bytes]:
    """Return the lines and pieces that must come of a log: the definition, in the slow way."""
    pieces = []
    for line in content.split(b"\n"):
        whole = line + b"\n"
        pieces += [whole[at : at + MAX_LINE] for at in range(0, len(whole), MAX_LINE)]
    last = pieces.pop()
    # The split left one newline too many at the end, in a piece of its own if the rest just fits.
    return [*pieces, last[:-1]] if last != b"\n" else pieces


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\n\n",
        b"a\nb\r\nc",
        b"a\x0bb\x0c\x85c\n",
        b"\0\xff" * 1000 + b"\n",
        b"x" * (MAX_LINE - 1) + b"\n" + b"next\n",
        b"x" * MAX_LINE + b"\n" + b"next\n",
        b"x" * MAX_LINE,
        b"x" * (3 * MAX_LINE + 17) + b"\nafter\nlast",
    ],
    ids=["empty", "newline", "newlines", "mixed", "other breaks", "binary", "fits", "one over", "all", "very long"],
)
@pytest.mark.parametrize("chunk_size", [1021, 1 << 18, 1 << 21])
def test_lines_are_cut_at_newlines_alone(content: bytes, chunk_size: int, tmp_path: Path) -> None:
    """Lines keep their newline, the last may lack it, and a line over MAX_LINE comes in pieces of that size."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(content)
        async with rig() as made, await made.follow(path, ended=True, chunk_size=chunk_size) as follower:
            assert [line async for line in follower.lines()] == joined_lines(content)

    asyncio.run(main())


def test_a_line_comes_as_soon_as_it_is_whole(tmp_path: Path) -> None:
    """While the job runs, a line written in two pieces comes once, whole, without waiting for the next."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"fir")
        async with rig() as made, await made.follow(path) as follower:
            lines = aiter(follower.lines())
            waiting = asyncio.ensure_future(anext(lines))
            await turns_until(lambda: follower.offset == 3)
            assert not waiting.done()
            with path.open("ab") as log:
                log.write(b"st\n")
            assert await waiting == b"first\n"

    asyncio.run(main())


def test_a_log_that_is_cut_is_data_loss_for_who_stands_beyond(tmp_path: Path) -> None:
    """A follower that waits at the end of a file that shrinks gets DataLoss, naming the file, and no endless wait."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"0123456789")
        async with rig() as made, await made.follow(path) as follower:
            await follower.read()
            waiting = asyncio.create_task(follower.read())
            await turns_until(lambda: made.kernel_watches() > 0)
            os.truncate(path, 4)
            with pytest.raises(DataLoss, match="job of job job was cut while it was read: byte 10 is gone"):
                await waiting

    asyncio.run(main())


@pytest.mark.parametrize("follow", [True, False])
def test_a_log_cut_before_the_end_was_read_is_data_loss(follow: bool, tmp_path: Path) -> None:
    """A file cut after the size was taken and before the bytes were read gives what is left, then DataLoss."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"0123456789")
        async with rig() as made:
            follower = await made.follow(path, ended=True, follow=follow, chunk_size=4)
            assert await follower.read() is not None
            os.truncate(path, 6)
            chunk = await follower.read()
            assert chunk is not None
            assert chunk.data == b"45"
            with pytest.raises(DataLoss):
                await follower.read()
            await follower.aclose()
        assert not descriptors(str(path))

    asyncio.run(main())


def test_a_removed_log_is_read_to_its_end(tmp_path: Path, writer: Writer) -> None:
    """Who follows a file that is removed still gets all that is written to it, by the name or without it."""

    async def main() -> None:
        path = tmp_path / "job"
        path.touch()
        with path.open("ab", buffering=0) as log:
            async with rig() as made:
                follower = await made.follow(path)
                path.unlink()
                reading = asyncio.create_task(drain(follower))
                for _ in range(50):
                    log.write(b"still here\n")
                    await asyncio.sleep(0)
                made.logs.finish("job")
                assert await reading == b"still here\n" * 50

    asyncio.run(main())


def test_closing_ends_a_read_that_waits_and_is_idempotent(tmp_path: Path) -> None:
    """aclose while a read waits ends that read with FailedPrecondition, and closing again does nothing."""

    async def main() -> None:
        path = tmp_path / "job"
        path.touch()
        async with rig() as made:
            follower = await made.follow(path)
            waiting = asyncio.create_task(follower.read())
            await turns_until(lambda: made.kernel_watches() > 0)
            with pytest.raises(FailedPrecondition, match="another read"):
                await follower.read()
            await follower.aclose()
            await follower.aclose()
            with pytest.raises(FailedPrecondition, match="the follower is closed"):
                await waiting
            with pytest.raises(FailedPrecondition, match="the follower is closed"):
                follower.read_nowait()
            assert made.kernel_watches() == 0
        assert not descriptors(str(path))

    asyncio.run(main())


def test_interrupt_ends_those_who_wait_and_those_who_read(tmp_path: Path) -> None:
    """After interrupt every follower ends with its own copy of the error, and gives its log back."""

    async def main() -> None:
        path = tmp_path / "job"
        path.write_bytes(b"x")
        async with rig() as made:
            waits = await made.follow(path, 1)
            reads = await made.follow(path)
            waiting = asyncio.create_task(waits.read())
            await turns_until(lambda: made.kernel_watches() > 0)
            error = Unavailable("going away", hint="come back")
            made.logs.interrupt(error)
            for ending in (waiting, asyncio.create_task(reads.read())):
                with pytest.raises(Unavailable, match=r"going away \(come back\)") as caught:
                    await ending
                assert caught.value is not error
            assert not descriptors(str(path))
            assert made.kernel_watches() == 0

    asyncio.run(main())


def test_a_log_that_cant_be_watched_is_said_to_the_reader(tmp_path: Path) -> None:
    """Where no watch can be had, read says so instead of waiting for ever, and the end is still told."""

    async def main() -> None:
        path = tmp_path / "job"
        path.touch()
        async with rig() as made:
            follower = await made.follow(path)
            made.watcher.close()
            with pytest.raises(Internal, match="not open"):
                await follower.read()
            made.logs.finish("job")
            assert await follower.read() is None

    asyncio.run(main())
