"""Memory at an address that a process and its children have in common, private to each."""

from __future__ import annotations

import ctypes
import mmap
import struct
from typing import Any

_MAP_NORESERVE = 0x4000


class Area:
    """Private memory that is all zero and is there for good; what nobody has touched costs nothing."""

    def __init__(self, size: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._memory = mmap.mmap(-1, size, flags)
        self.size = size
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))

    def pack(self, form: struct.Struct, offset: int, *values: Any) -> int:
        """Write a structure, and return its address."""
        form.pack_into(self._memory, offset, *values)
        return self.address + offset

    def unpack(self, form: struct.Struct, offset: int) -> tuple[Any, ...]:
        """Return what is in a structure."""
        return form.unpack_from(self._memory, offset)

    def write(self, offset: int, content: bytes) -> int:
        """Write bytes, and return their address."""
        self._memory[offset : offset + len(content)] = content
        return self.address + offset

    def byte(self, offset: int) -> int:
        """Return one byte."""
        return self._memory[offset]
