"""System calls with which a process locks itself in.

Each wrapper has its call's name and raises OSError naming the call. They know no archives.
Sources: namespaces(7), mount_setattr(2), pivot_root(2), capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

CAP_CHOWN = 0
CAP_FOWNER = 3

_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MNT_DETACH = 2
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x00000004
_MOVE_MOUNT_T_EMPTY_PATH = 0x00000040
_MOUNT_ATTR_NOSUID = 0x2
_MOUNT_ATTR_NODEV = 0x4
_MOUNT_ATTR_NOEXEC = 0x8
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
# The same numbers on every architecture; pivot_root and capset are older than that rule.
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
_SYS_PIVOT_ROOT = {"x86_64": 155}.get(os.uname().machine, 41)
_SYS_CAPSET = {"x86_64": 126}.get(os.uname().machine, 91)

_libc = ctypes.CDLL(None, use_errno=True)

_unshare = _libc.unshare
_unshare.argtypes = (ctypes.c_int,)
_unshare.restype = ctypes.c_int

_mount = _libc.mount
_mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p)
_mount.restype = ctypes.c_int

_umount2 = _libc.umount2
_umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_umount2.restype = ctypes.c_int

_syncfs = _libc.syncfs
_syncfs.argtypes = (ctypes.c_int,)
_syncfs.restype = ctypes.c_int

_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_prctl.restype = ctypes.c_int

_syscall_open_tree = _libc["syscall"]
_syscall_open_tree.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_syscall_open_tree.restype = ctypes.c_long

_syscall_move_mount = _libc["syscall"]
_syscall_move_mount.argtypes = (
    ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint,
)  # fmt: skip
_syscall_move_mount.restype = ctypes.c_long

_syscall_mount_setattr = _libc["syscall"]
_syscall_mount_setattr.argtypes = (
    ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t,
)  # fmt: skip
_syscall_mount_setattr.restype = ctypes.c_long

_syscall_two_texts = _libc["syscall"]
_syscall_two_texts.argtypes = (ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p)
_syscall_two_texts.restype = ctypes.c_long


def unshare(flags: int) -> None:
    """Give this process namespaces of its own, unshare(2); it has to have one thread."""
    _check("unshare", _unshare(flags))


def make_mounts_private() -> None:
    """Let no mount of this mount namespace reach another, mount(2) MS_PRIVATE."""
    _check("mount(MS_PRIVATE)", _mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))


def enter_root(directory: int) -> None:
    """Make the directory of this descriptor the root of all that this process sees, by pivot_root(2).

    Needs a mount namespace of its own, in which the descriptor was opened. No device, setuid
    bit or program works in it.
    """
    tree = _check("open_tree", _syscall_open_tree(_SYS_OPEN_TREE, directory, b"", _AT_EMPTY_PATH | _OPEN_TREE_CLONE))
    try:
        attributes = struct.pack("=QQQQ", _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV | _MOUNT_ATTR_NOEXEC, 0, 0, 0)
        result = _syscall_mount_setattr(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, len(attributes))
        _check("mount_setattr", result)
        flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
        _check("move_mount", _syscall_move_mount(_SYS_MOVE_MOUNT, tree, b"", directory, b"", flags))
        os.fchdir(tree)
        # The old root comes to lie on the new one, and is taken off it; nobody needs a directory for it.
        _check("pivot_root", _syscall_two_texts(_SYS_PIVOT_ROOT, b".", b"."))
        _check("umount2", _umount2(b".", _MNT_DETACH))
        os.chdir("/")
    finally:
        os.close(tree)


def keep_capabilities() -> None:
    """Keep the permitted capabilities through the next setuid(2), prctl(2) PR_SET_KEEPCAPS."""
    _check("prctl(PR_SET_KEEPCAPS)", _prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0))


def drop_bounding_set() -> None:
    """Let no program that is ever executed have a capability, prctl(2) PR_CAPBSET_DROP; needs CAP_SETPCAP."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    for capability in range(last + 1):
        _check("prctl(PR_CAPBSET_DROP)", _prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))


def set_capabilities(*capabilities: int) -> None:
    """Have these capabilities and no others, none of them inheritable, capset(2)."""
    mask = sum(1 << capability for capability in capabilities)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = struct.pack("=IIIIII", low, low, 0, high, high, 0)
    _check("capset", _syscall_two_texts(_SYS_CAPSET, header, data))


def set_no_new_privs() -> None:
    """Let execve(2) give no privileges, ever after, prctl(2) PR_SET_NO_NEW_PRIVS."""
    _check("prctl(PR_SET_NO_NEW_PRIVS)", _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def set_not_dumpable() -> None:
    """Let no process of the same user trace this one or look into it, prctl(2) PR_SET_DUMPABLE."""
    _check("prctl(PR_SET_DUMPABLE)", _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


def syncfs(descriptor: int) -> None:
    """Write the file system of this descriptor to its disk, syncfs(2); raises OSError if that failed for any file."""
    _check("syncfs", _syncfs(descriptor))


def _check(call: str, result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return int(result)
