"""New namespaces: processes that are born in them, and the maps of user namespaces.

Sources: clone(2), namespaces(7), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
from collections.abc import Iterable

from jsched.linux import privileges
from jsched.linux.call import call_number, system_call

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PARENT = 0x00008000

_CLONE_INTO_CGROUP = 0x200000000
# struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
# set_tid_size, cgroup.
_CLONE_ARGS = struct.Struct("=11Q")

# With the interpreter's lock held: let go of, it would have no owner in the child.
_clone3 = system_call("clone3", 435, ctypes.c_char_p, ctypes.c_size_t, locked=True)
_clone = system_call(
    "clone",
    call_number(56, 220),
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    locked=True,
)
UNSHARE = call_number(272, 97)
_unshare = system_call("unshare", UNSHARE, ctypes.c_int)


def fork_into(namespaces: int, cgroup: int | None = None) -> int:
    """Fork with CLONE_NEW flags, and with a descriptor of a cgroup v2 directory into that cgroup; 0 in the child.

    For a process with one thread: neither Python's nor the C library's fork handlers run in the child,
    which has to leave with os._exit() or exec. Raises OSError, ENOSYS for a cgroup where there is no
    clone3(2). Source: clone(2).
    """
    flags = namespaces if cgroup is None else namespaces | _CLONE_INTO_CGROUP
    # A sibling tells of its end as this process does: the signal may not be given, clone(2).
    told = 0 if namespaces & CLONE_PARENT else signal.SIGCHLD
    arguments = _CLONE_ARGS.pack(flags, 0, 0, 0, told, 0, 0, 0, 0, 0, cgroup or 0)
    try:
        return _clone3(arguments, _CLONE_ARGS.size)
    except OSError as error:
        # The seccomp profiles of container engines hide clone3, because they can't look into its structure.
        if error.errno != errno.ENOSYS or cgroup is not None:
            raise
    return _clone(namespaces | told, None, None, None, None)


def fork_for(owner: int, namespaces: int, cgroup: int | None = None) -> int:
    """Fork as fork_into() does, into a user namespace that belongs to the user `owner`; for root.

    What is counted for each user (watches of inotify, signals and timers that wait, message queues, namespaces)
    is counted for the owner of the namespace, too, whoever it is inside: of root's, one job could leave nothing to
    root and to all others. Takes back what prctl_set_pdeathsig() has set. Raises OSError.
    Source: user_namespaces(7), the kernel's kernel/ucount.c.
    """
    was_dumpable = privileges.is_dumpable()
    os.seteuid(owner)
    pid = -1
    try:
        privileges.raise_capabilities()
        # Until it has ids of its own, the child may write to its own /proc only if it is dumpable.
        privileges.set_dumpable()
        pid = fork_into(namespaces | CLONE_NEWUSER, cgroup)
    finally:
        if pid != 0:
            os.seteuid(0)
            (privileges.set_dumpable if was_dumpable else privileges.set_not_dumpable)()
    return pid


def unshare(namespaces: int) -> None:
    """Put this process into new namespaces, CLONE_NEW flags; raises OSError. Source: unshare(2)."""
    _unshare(namespaces)


def write_id_maps(pid: int, uid_map: Iterable[tuple[int, int, int]], gid_map: Iterable[tuple[int, int, int]]) -> None:
    """Map ids of the user namespace of the process: (first inside, first outside, count), once and for all.

    Whoever has no CAP_SETGID outside may map its own ids alone, and has setgroups(2) forbidden inside for it.
    Raises OSError, EPERM if the ids may not be mapped. Source: user_namespaces(7).
    """
    _write(f"/proc/{pid}/uid_map", _map_lines(uid_map))
    if os.geteuid() != 0:
        _write(f"/proc/{pid}/setgroups", b"deny")
    _write(f"/proc/{pid}/gid_map", _map_lines(gid_map))


def _map_lines(lines: Iterable[tuple[int, int, int]]) -> bytes:
    return "".join(f"{inside} {outside} {size}\n" for inside, outside, size in lines).encode()


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
