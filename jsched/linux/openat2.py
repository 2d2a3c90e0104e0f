"""Opening paths inside a directory tree that may be hostile, openat2(2)."""

from __future__ import annotations

import ctypes
import os
import struct

from jsched.linux.call import system_call

_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10

# struct open_how: flags, mode, resolve.
_OPEN_HOW = struct.Struct("=QQQ")

_openat2 = system_call("openat2", 437, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)


def open_inside(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` with the directory `root` as the root directory and no symbolic link anywhere on the way.

    The descriptor is close-on-exec. Raises OSError, ELOOP for a symbolic link. Source: openat2(2).
    """
    resolve = _RESOLVE_IN_ROOT | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    return _openat2(root, os.fsencode(path), how, _OPEN_HOW.size)
