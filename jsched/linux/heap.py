"""The C library's heap: which blocks get a mapping of their own, and how much freed memory is kept.

Source: mallopt(3).
"""

from __future__ import annotations

import ctypes

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)


def map_from(size: int) -> None:
    """Give each block of `size` bytes or more that is allocated from now on a mapping, which ends when it is freed.

    From then on the C library does not choose these sizes by itself any more. Without effect where
    it knows no such setting.
    """
    _set(_M_MMAP_THRESHOLD, size)


def keep(size: int) -> None:
    """Keep up to `size` bytes of freed memory, in each of the heap's arenas, before the kernel gets it back.

    Without effect where the C library knows no such setting.
    """
    _set(_M_TRIM_THRESHOLD, size)


def _set(parameter: int, value: int) -> None:
    if _mallopt is not None:
        _mallopt(parameter, value)
