"""Room on the disk that a file has before it is written, fallocate(2).

With FALLOC_FL_KEEP_SIZE the file stays as long as it is: what is set aside lies behind its end, and
writes that go there can't fail because the disk is full.
"""

from __future__ import annotations

import ctypes
import errno

from jsched.linux.call import library_call

_FALLOC_FL_KEEP_SIZE = 0x01
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.ESPIPE})

_fallocate = library_call("fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)


def set_aside(fd: int, offset: int, length: int) -> None:
    """Set `length` bytes of disk aside from `offset` on, leaving the file's size as it is; what is there stays.

    Raises OSError: `is_unsupported` tells that the file system can't do it from ENOSPC, EDQUOT and
    others. After a failure a part may have been set aside.
    """
    while True:
        try:
            _fallocate(fd, _FALLOC_FL_KEEP_SIZE, offset, length)
        except InterruptedError:
            continue
        return


def is_unsupported(error: OSError) -> bool:
    """Return whether an error means that nothing can be set aside for this kind of file."""
    return error.errno in _UNSUPPORTED
