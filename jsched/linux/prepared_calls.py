"""The vocabulary of prepared system calls: each function adds what its namesake elsewhere in this package does at once.

Paths are bytes. A descriptor is the Slot of one. Descriptors of the calls' own are close-on-exec, and stay open.
"""

from __future__ import annotations

import os
import struct

from jsched.linux import host, mount_api, openat2, privileges
from jsched.linux.call import call_number
from jsched.linux.prepared import Prepared, Slot
from jsched.linux.seccomp import INSTRUCTION_SIZE

_AT_FDCWD = -100


_WRITE = call_number(1, 64)
_SOCKET = call_number(41, 198)
_IOCTL = call_number(16, 29)
_UMASK = call_number(95, 166)
_SETSID = call_number(112, 157)
_SETGROUPS = call_number(116, 159)
_SETRESUID = call_number(117, 147)
_SETRESGID = call_number(119, 149)
_CAPSET = call_number(126, 91)
_PRCTL = call_number(157, 167)
_OPENAT = call_number(257, 56)
_MKDIRAT = call_number(258, 34)
_UNSHARE = call_number(272, 97)
_SECCOMP = call_number(317, 277)

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_SECCOMP_SET_MODE_FILTER = 1
# struct sock_fprog: the number of instructions, and where they are.
_PROGRAM = struct.Struct("@HP")


def open_path(calls: Prepared, path: bytes, *, result: Slot | None = None) -> Slot:
    """Open a path of this process for its place alone, O_PATH."""
    return calls.add(_OPENAT, _AT_FDCWD, path, os.O_PATH | os.O_CLOEXEC, 0, result=result)


def open_inside(calls: Prepared, root: Slot, path: bytes, *, tolerated: int = 0) -> Slot:
    """Open a path for its place alone, with the directory `root` as root directory and no symbolic link on the way."""
    resolve = openat2.RESOLVE_IN_ROOT | openat2.RESOLVE_NO_SYMLINKS | openat2.RESOLVE_NO_MAGICLINKS
    how = openat2.encode_how(os.O_PATH, resolve)
    return calls.add(openat2.NR_OPENAT2, root, path, how, len(how), tolerated=tolerated)


def make_directory(calls: Prepared, directory: Slot, name: bytes, mode: int) -> None:
    """Make a directory in a directory, mkdirat(2)."""
    calls.add(_MKDIRAT, directory, name, mode)


def open_tree(calls: Prepared, directory: Slot, path: bytes) -> Slot:
    """Take an unattached mount of what the path names below the directory."""
    return calls.add(mount_api.NR_OPEN_TREE, directory, path, mount_api.OPEN_TREE_CLONE | os.O_CLOEXEC)


def mount_setattr(calls: Prepared, mount: Slot, attributes: int) -> None:
    """Set MOUNT_ATTR_ flags of a mount."""
    content = mount_api.MOUNT_ATTR.pack(attributes, 0, 0, 0)
    calls.add(mount_api.NR_MOUNT_SETATTR, mount, b"", mount_api.AT_EMPTY_PATH, content, len(content))


def move_mount(calls: Prepared, mount: Slot, target: Slot, *, tolerated: int = 0) -> None:
    """Attach a mount at the place that the other descriptor names."""
    flags = mount_api.MOVE_MOUNT_F_EMPTY_PATH | mount_api.MOVE_MOUNT_T_EMPTY_PATH
    calls.add(mount_api.NR_MOVE_MOUNT, mount, b"", target, b"", flags, tolerated=tolerated)


def move_mount_to(calls: Prepared, mount: Slot, directory: Slot, name: bytes, *, tolerated: int = 0) -> None:
    """Attach a mount at a name in a directory; it may not be a symbolic link."""
    flags = mount_api.MOVE_MOUNT_F_EMPTY_PATH
    calls.add(mount_api.NR_MOVE_MOUNT, mount, b"", directory, name, flags, tolerated=tolerated)


def new_mount(
    calls: Prepared,
    file_system: bytes,
    attributes: int,
    options: dict[str, str] | None = None,
    *,
    result: Slot | None = None,
) -> Slot:
    """Make an unattached mount of a new file system with these options."""
    context = calls.add(mount_api.NR_FSOPEN, file_system, mount_api.FSOPEN_CLOEXEC)
    for name, value in (options or {}).items():
        command = mount_api.FSCONFIG_SET_STRING
        calls.add(mount_api.NR_FSCONFIG, context, command, name.encode(), value.encode(), 0)
    calls.add(mount_api.NR_FSCONFIG, context, mount_api.FSCONFIG_CMD_CREATE, 0, 0, 0)
    return calls.add(mount_api.NR_FSMOUNT, context, mount_api.FSMOUNT_CLOEXEC, attributes, result=result)


def unshare(calls: Prepared, namespaces: int) -> None:
    """Put the process into new namespaces, CLONE_NEW flags."""
    calls.add(_UNSHARE, namespaces)


def raise_loopback(calls: Prepared) -> None:
    """Bring up the loopback interface."""
    control = calls.add(_SOCKET, host.AF_INET, host.SOCK_DGRAM | os.O_CLOEXEC, 0)
    calls.add(_IOCTL, control, host.SIOCSIFFLAGS, host.LOOPBACK_UP)


def setsid(calls: Prepared) -> None:
    """Lead a new session, setsid(2)."""
    calls.add(_SETSID)


def umask(calls: Prepared, mask: int) -> None:
    """Set the file mode creation mask, umask(2)."""
    calls.add(_UMASK, mask)


def become(calls: Prepared, uid: int, gid: int, *, leave_groups: bool) -> None:
    """Become another user and group in every way, setresuid(2), and leave all other groups, setgroups(2)."""
    if leave_groups:
        calls.add(_SETGROUPS, 0, 0)
    calls.add(_SETRESGID, gid, gid, gid)
    calls.add(_SETRESUID, uid, uid, uid)


def set_capabilities(calls: Prepared, mask: int) -> None:
    """Have the capabilities of a bit mask permitted and effective, none inheritable, none ambient."""
    calls.add(_CAPSET, *privileges.encode_capabilities(mask))
    calls.add(_PRCTL, privileges.PR_CAP_AMBIENT, privileges.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def limit_capabilities(calls: Prepared, mask: int) -> None:
    """Have no more capabilities than those of a bit mask, where set_capabilities() was called before."""
    calls.add(_CAPSET, *privileges.encode_capabilities(mask))


def set_name(calls: Prepared, name: bytes) -> None:
    """Set the name that ps and top show, cut at 15 bytes, PR_SET_NAME."""
    calls.add(_PRCTL, _PR_SET_NAME, name, 0, 0, 0)


def set_parent_death_signal(calls: Prepared, number: int) -> None:
    """Have a signal sent to the process when its parent ends, PR_SET_PDEATHSIG."""
    calls.add(_PRCTL, _PR_SET_PDEATHSIG, number, 0, 0, 0)


def set_not_dumpable(calls: Prepared) -> None:
    """Let nobody without CAP_SYS_PTRACE look into the process, PR_SET_DUMPABLE."""
    calls.add(_PRCTL, privileges.PR_SET_DUMPABLE, 0, 0, 0, 0)


def load_filter(calls: Prepared, program: bytes) -> None:
    """Have every system call from now on judged by a BPF program."""
    where = calls.keep(program)
    calls.add(_SECCOMP, _SECCOMP_SET_MODE_FILTER, 0, _PROGRAM.pack(len(program) // INSTRUCTION_SIZE, where))


def write(calls: Prepared, fd: Slot, content: bytes) -> None:
    """Write to a descriptor, write(2)."""
    calls.add(_WRITE, fd, content, len(content))
