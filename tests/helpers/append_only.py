"""Whether a file has the append-only attribute, asked of the kernel and not of jsched, ioctl_iflags(2)."""

from __future__ import annotations

import fcntl
import struct

# As x86 and Arm encode it, with a long of 8 bytes; the kernel writes an int.
_FS_IOC_GETFLAGS = 0x80086601
_FS_APPEND_FL = 0x20


def is_append_only(fd: int) -> bool:
    """Return whether the file has the attribute; raises OSError where the file system has none."""
    (flags,) = struct.unpack_from("i", fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(8)))
    return bool(flags & _FS_APPEND_FL)
