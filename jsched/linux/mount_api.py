"""The mount API that works on descriptors, and pivot_root(2).

A mount that open_tree() or fsmount() return is attached nowhere: it goes with its descriptor unless
move_mount() gives it a place. Sources: open_tree(2), move_mount(2), mount_setattr(2), fsopen(2), fsconfig(2).
"""

from __future__ import annotations

import ctypes
import os
import struct

from jsched.linux.call import call_number, library_call, system_call

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x100000

MS_PRIVATE = 1 << 18

_AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
_MNT_DETACH = 2
# The numbers are the same on every architecture.
NR_OPEN_TREE = 428
NR_MOVE_MOUNT = 429
NR_FSOPEN = 430
NR_FSCONFIG = 431
NR_FSMOUNT = 432
NR_MOUNT_SETATTR = 442
# struct mount_attr: what is set, what is cleared, propagation, user namespace.
MOUNT_ATTR = struct.Struct("=QQQQ")

_open_tree = system_call("open_tree", NR_OPEN_TREE, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_move_mount = system_call(
    "move_mount", NR_MOVE_MOUNT, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)
_fsopen = system_call("fsopen", NR_FSOPEN, ctypes.c_char_p, ctypes.c_uint)
_fsconfig = system_call(
    "fsconfig", NR_FSCONFIG, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int
)
_fsmount = system_call("fsmount", NR_FSMOUNT, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)
_mount_setattr = system_call(
    "mount_setattr", NR_MOUNT_SETATTR, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t
)
_pivot_root = system_call("pivot_root", call_number(155, 41), ctypes.c_char_p, ctypes.c_char_p)
_umount2 = library_call("umount2", ctypes.c_char_p, ctypes.c_int)


def open_tree(path: str, *, at: int = _AT_FDCWD, recursive: bool = False) -> int:
    """Return a close-on-exec descriptor of a new, unattached mount of what `path` names under the directory `at`.

    An empty path stands for `at` itself; `recursive` brings along what is mounted below. A symbolic link
    at the end is followed. Raises OSError. Source: open_tree(2) with OPEN_TREE_CLONE.
    """
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC
    if recursive:
        flags |= _AT_RECURSIVE
    if not path:
        flags |= AT_EMPTY_PATH
    return _open_tree(at, os.fsencode(path), flags)


def move_mount(mount: int, target: int) -> None:
    """Attach the mount behind one descriptor at the place that the other names, both exactly.

    Raises OSError. Source: move_mount(2).
    """
    _move_mount(mount, b"", target, b"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)


def move_mount_to(mount: int, directory: int, name: str) -> None:
    """Attach the mount behind the descriptor at a name in a directory; it may not be a symbolic link.

    Raises OSError. Source: move_mount(2).
    """
    _move_mount(mount, b"", directory, os.fsencode(name), MOVE_MOUNT_F_EMPTY_PATH)


def mount_setattr(mount: int, attributes: int, *, recursive: bool = False, propagation: int = 0) -> None:
    """Set MOUNT_ATTR_ flags and the propagation (MS_PRIVATE) of a mount, or of all below it too.

    Raises OSError. Source: mount_setattr(2).
    """
    flags = AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _mount_setattr(mount, b"", flags, MOUNT_ATTR.pack(attributes, 0, propagation, 0), MOUNT_ATTR.size)


def map_ids(mount: int, user_namespace: int) -> None:
    """Show the owners of files as the user namespace maps them, in an unattached mount and those below it.

    Raises OSError, EINVAL where the file system can't do that. Source: mount_setattr(2) with MOUNT_ATTR_IDMAP.
    """
    attributes = MOUNT_ATTR.pack(MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    _mount_setattr(mount, b"", AT_EMPTY_PATH | _AT_RECURSIVE, attributes, MOUNT_ATTR.size)


def new_mount(file_system: str, attributes: int, options: dict[str, str] | None = None) -> int:
    """Return a close-on-exec descriptor of an unattached mount of a new file system with these options.

    An option whose value is empty is a flag. Raises OSError, ENODEV if the kernel has no such file system,
    EPERM if it may not be mounted in this user namespace. Source: fsopen(2), fsconfig(2), fsmount(2).
    """
    context = _fsopen(file_system.encode(), FSOPEN_CLOEXEC)
    try:
        for name, value in (options or {}).items():
            if value:
                _fsconfig(context, FSCONFIG_SET_STRING, name.encode(), os.fsencode(value), 0)
            else:
                _fsconfig(context, FSCONFIG_SET_FLAG, name.encode(), None, 0)
        _fsconfig(context, FSCONFIG_CMD_CREATE, None, None, 0)
        return _fsmount(context, FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def pivot_root_here() -> None:
    """Make the working directory, the root of a mount, the root directory, and drop the old root for good.

    The old root is stacked on the new one for a moment, so that no directory is needed for it.
    Raises OSError. Source: pivot_root(2), section "pivot_root(".", ".")".
    """
    _pivot_root(b".", b".")
    _umount2(b".", _MNT_DETACH)
    os.chdir("/")
