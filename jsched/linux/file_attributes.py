"""The append-only attribute of files, ioctl_iflags(2): what is written can only be added to.

Linux has it on ext4, xfs, btrfs, f2fs and, since 6.0, tmpfs. Nobody can truncate, overwrite,
rename or remove such a file, or open it without O_APPEND, until someone with CAP_LINUX_IMMUTABLE
clears the attribute.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct

_LONG = struct.calcsize("l")
_INT = struct.Struct("i")
# _IOR('f', 1, long) and _IOW('f', 2, long) as all but a few architectures encode them, ioctl(2).
# Whatever they say, the kernel reads and writes an int.
_FS_IOC_GETFLAGS = 2 << 30 | _LONG << 16 | ord("f") << 8 | 1
_FS_IOC_SETFLAGS = 1 << 30 | _LONG << 16 | ord("f") << 8 | 2
_FS_APPEND_FL = 0x20
_UNSUPPORTED = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS})


def set_append_only(fd: int) -> None:
    """Give the file the attribute.

    Raises OSError: `is_unsupported` tells that the file system has no such attribute (ENOTTY,
    EOPNOTSUPP) from EPERM, that this process has no CAP_LINUX_IMMUTABLE, and EROFS.
    """
    flags = _get_flags(fd)
    if not flags & _FS_APPEND_FL:
        _set_flags(fd, flags | _FS_APPEND_FL)


def clear_append_only(fd: int) -> None:
    """Take the attribute from the file, which may be open for reading only; raises OSError as above."""
    flags = _get_flags(fd)
    if flags & _FS_APPEND_FL:
        _set_flags(fd, flags & ~_FS_APPEND_FL)


def release(path: str | os.PathLike[str]) -> None:
    """Take the attribute from the file of that name, which may have none; raises OSError if it can't be opened."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            clear_append_only(fd)
    finally:
        os.close(fd)


def is_unsupported(error: OSError) -> bool:
    """Return whether an error means that the file system does not have the attribute at all."""
    return error.errno in _UNSUPPORTED


def _get_flags(fd: int) -> int:
    return int(_INT.unpack_from(_ioctl("FS_IOC_GETFLAGS", fd, _FS_IOC_GETFLAGS, bytes(_LONG)))[0])


def _set_flags(fd: int, flags: int) -> None:
    _ioctl("FS_IOC_SETFLAGS", fd, _FS_IOC_SETFLAGS, _INT.pack(flags).ljust(_LONG, b"\0"))


def _ioctl(name: str, fd: int, request: int, argument: bytes) -> bytes:
    try:
        return fcntl.ioctl(fd, request, argument)
    except OSError as error:
        number = error.errno or errno.EIO
        raise OSError(number, f"ioctl({name}): {os.strerror(number)}") from None
