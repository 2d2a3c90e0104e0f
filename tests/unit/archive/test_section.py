from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from jsched.archive.section import Input, Section

CONTENT = b"0123456789" * 10


@pytest.fixture
def section() -> Iterator[Section]:
    """The digits, ten times, between other bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(b"before" + CONTENT + b"after")
        file.flush()
        yield Section(file.fileno(), 6, len(CONTENT))


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_what_is_taken_peeked_at_and_put_back_comes_in_order(section: Section, piece: int) -> None:
    """However much is read ahead, each byte comes once, and the section's end is the end."""
    source = Input(section, piece)
    assert source.peek(3) == source.take(3) == CONTENT[:3]
    source.pass_over(20)
    assert (source.position, source.peek(2)) == (23, CONTENT[23:25])
    data = source.read()
    source.put_back(data[1:])
    assert source.take(30) == CONTENT[24:54]
    source.pass_over(44)
    assert source.peek(5) == CONTENT[98:]
    with pytest.raises(EOFError):
        source.take(3)
    with pytest.raises(EOFError):
        source.pass_over(3)
    assert source.take(2) == CONTENT[98:]
    assert (source.read(), source.peek(1), source.position) == (b"", b"", 100)


def test_what_is_passed_over_does_not_count_as_taken(section: Section) -> None:
    """Neither what is passed over in what was read ahead, nor what is beyond it, buys anything."""
    source = Input(section, 10)
    source.take(2)
    source.pass_over(3)
    assert source.taken == 7
    source.pass_over(50)
    assert source.taken == 2
    assert source.take(1) == b"5"
    assert source.taken == 12


@pytest.mark.parametrize("piece", [1, 4, 1000])
def test_zeros_are_passed_over_and_counted(piece: int) -> None:
    """All zero bytes that come next, and no other, are passed over."""
    with tempfile.TemporaryFile() as file:
        file.write(b"a" + bytes(9) + b"b\0c" + bytes(5))
        file.flush()
        source = Input(Section(file.fileno(), 0, 18), piece)
        assert source.pass_over_zeros() == 0
        assert source.take(1) == b"a"
        assert source.pass_over_zeros() == 9
        assert source.take(3) == b"b\0c"
        assert source.pass_over_zeros() == 5
        assert source.read() == b""
