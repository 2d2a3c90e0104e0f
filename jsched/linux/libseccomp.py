"""The library that filters of system calls are compiled with."""

from __future__ import annotations

import ctypes
import errno

_NAME = "libseccomp.so.2"


class _Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


def version() -> tuple[int, int, int]:
    """Return the version of the library, seccomp_version(3); raises OSError if it is not there."""
    try:
        library = ctypes.CDLL(_NAME)
        library.seccomp_version.restype = ctypes.POINTER(_Version)
        found = library.seccomp_version().contents
    except (OSError, AttributeError):
        raise FileNotFoundError(errno.ENOENT, f"{_NAME} is not there, or older than 2.3") from None
    return found.major, found.minor, found.micro
