"""Pieces of logs: with the head that they are sent with, and kept for others who ask for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from unittest import mock

import pytest

from jsched.output.piece import MAX_HEAD, Piece, PieceCache
from tests.unit.output.rig import rig


def head_of(offset: int, size: int) -> bytes:
    """Return a head that says what it is the head of."""
    return f"{size} at {offset}:".encode()


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_piece_comes_with_its_head(in_memory: bool, tmp_path: Path) -> None:
    """What is read for sending begins with the frame's head, whether memory has it or the disk; `read` has none."""
    path = tmp_path / "job"
    path.write_bytes(b"0123456789")

    async def main() -> None:
        async with rig(head_of) as made, await made.follow(path, 2, ended=True, chunk_size=5) as follower:
            piece = await follower.read_piece()
            assert piece is not None
            assert (piece.content, piece.data) == (b"5 at 2:23456", b"23456")
            assert (piece.offset, piece.size, piece.end) == (2, 5, 7)
            chunk = await follower.read()
            assert chunk is not None
            assert (chunk.offset, chunk.data) == (7, b"789")
            assert await follower.read_piece() is None

    with contextlib.nullcontext() if in_memory else mock.patch("os.preadv", side_effect=BlockingIOError):
        asyncio.run(main())


def test_heads_of_all_lengths_fit(tmp_path: Path) -> None:
    """A head of any length up to the longest that a frame may give is whole, and so is what follows it."""
    path = tmp_path / "job"
    content = os.urandom(MAX_HEAD + 1)
    path.write_bytes(content)

    async def main() -> None:
        async with rig(lambda offset, _: b"h" * offset) as made:
            for length in range(MAX_HEAD + 1):
                async with await made.follow(path, length, ended=True) as follower:
                    piece = await follower.read_piece()
                    assert piece is not None
                    assert piece.content == b"h" * length + content[length:]

    asyncio.run(main())


def test_the_cache_is_bounded_and_lets_the_oldest_go() -> None:
    """The cache never holds more than its capacity in bytes or pieces, and forgets a log whole."""
    cache = PieceCache(capacity=100, entries=5)
    for number in range(50):
        cache.put("a" if number % 2 else "b", 40, Piece(number, 40, bytes(40)))
        assert cache.held <= 100
    assert cache.get("a", 49, 40) is not None
    assert cache.get("a", 47, 40) is None
    for number in range(50):
        cache.put("a", 1, Piece(number, 1, b"x"))
    assert cache.held == 5
    cache.put("a", 1, Piece(49, 1, b"x"))
    assert cache.held == 5
    cache.forget("a")
    assert cache.held == 0
    cache.put("a", 1000, Piece(0, 1000, bytes(1000)))
    assert cache.held == 0
