"""The heap's settings, in a process of their own: what holds for one holds until its end."""

from __future__ import annotations

import subprocess
import sys

import pytest

# mallinfo2(3): bytes in mappings of their own, and bytes that the heap has free.
_PROGRAM = """
import ctypes
from jsched.linux import heap

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
"""
_SIZE = 48 * 1024


def run(program: str) -> list[int]:
    """Return the numbers that a program prints."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM + program], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize(("limit", "mapped"), [(_SIZE - 4096, True), (_SIZE + 4096, False)])
def test_blocks_from_that_size_on_have_a_mapping(limit: int, mapped: bool) -> None:
    """A block as large as was said has a mapping of its own, where no free one fits; a smaller one has none."""
    before, after = run(f"""
heap.map_from({limit})
before = libc.mallinfo2().hblkhd
blocks = [b"x" * {_SIZE} for _ in range(100)]
print(before, libc.mallinfo2().hblkhd)
""")
    assert (after - before > 50 * _SIZE) == mapped


@pytest.mark.parametrize(("kept", "stays"), [(16 << 20, True), (0, False)])
def test_as_much_freed_memory_is_kept(kept: int, stays: bool) -> None:
    """Freed memory at the heap's end stays in the process up to the size that was said, and goes back beyond it."""
    (top,) = run(f"""
heap.map_from(32 << 20)
heap.keep({kept})
block = b"x" * (8 << 20)
del block
print(libc.mallinfo2().keepcost)
""")
    assert (top >= 8 << 20) == stays
