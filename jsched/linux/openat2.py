"""openat2(2): open a path that must not leave a directory, nor pass through a symbolic link."""

from __future__ import annotations

import ctypes
import errno
import os

# The number is the same on every architecture.
NR_OPENAT2 = 437
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
# What untrusted names are opened with: down from the directory, and through nothing but directories.
INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV

_AGAIN = frozenset({errno.EAGAIN, errno.EINTR})
_ATTEMPTS = 16


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_syscall = ctypes.CDLL(None, use_errno=True)["syscall"]
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)
_syscall.restype = ctypes.c_long


def encode_how(flags: int, resolve: int) -> bytes:
    """Return a struct open_how for a descriptor that is close-on-exec, openat2(2)."""
    return bytes(_OpenHow(flags | os.O_CLOEXEC, 0, resolve))


def openat2(directory: int, path: bytes, flags: int, *, mode: int = 0, resolve: int = INSIDE) -> int:
    """Open `path` below the descriptor `directory` and return a close-on-exec descriptor, openat2(2).

    Raises OSError: ELOOP where a symbolic link is on the path, EXDEV where the path leaves
    `directory` or its mount, ENOSYS before Linux 5.6.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    # EAGAIN: somebody renames or mounts at the same time, and the kernel can't tell where ".." leads.
    for _ in range(_ATTEMPTS):
        descriptor = int(_syscall(NR_OPENAT2, directory, path, ctypes.byref(how), ctypes.sizeof(how)))
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number not in _AGAIN:
            break
    raise OSError(number, f"openat2: {os.strerror(number)}", os.fsdecode(path))


def open_inside(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` with the directory `root` as the root directory and no symbolic link anywhere on the way.

    The descriptor is close-on-exec. Raises OSError, ELOOP for a symbolic link. Source: openat2(2).
    """
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
    return openat2(root, os.fsencode(path), flags, mode=mode, resolve=resolve)
