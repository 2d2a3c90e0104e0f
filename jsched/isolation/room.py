"""The walls that every init builds for itself, as system calls that are prepared before it is forked.

What a job may have in common with the next one is not here: plan.COMMON.
"""

from __future__ import annotations

import errno
import os
import signal

from jsched.isolation import seccomp_last
from jsched.isolation.places import EMPTY, HARMLESS
from jsched.isolation.reports import READY, encode
from jsched.isolation.sandbox import HOST, Sandbox
from jsched.isolation.scratch import PLACE, WRITABLE_DIRECTORIES, options
from jsched.linux import namespaces, prepared_calls, privileges
from jsched.linux.mount_api import MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID
from jsched.linux.prepared import Prepared, Slot

_WRITABLE = ((b"tmp", b"tmp"), (b"shm", b"dev/shm"))
# In a root file system everything is writable already.
_WRITABLE_ON_HOST = ((b"var-tmp", b"var/tmp"), (b"run", b"run"))
# Of a job; the kernel counts them for the whole host: kernel.pty.max, 4096 as a rule.
TERMINALS = 256
_TTY_GROUP = 5


class Room:
    """The calls for one sandbox, and the places of what they are given or hand on.

    program     the compiled filter of system calls
    privileged  whether the monitor is root
    reports     the pipe to the monitor
    root        the root directory of the job
    furniture   the file system in memory that empty directories are taken from
    scratch     the file system in memory that writable directories are taken from
    """

    def __init__(self, sandbox: Sandbox, program: bytes, *, privileged: bool) -> None:
        self.sandbox = sandbox
        self.program = program
        self.privileged = privileged
        self.calls = Prepared()
        self.reports = self.calls.slot()
        self.root = self.calls.slot()
        self.furniture = self.calls.slot()
        self.scratch = self.calls.slot()


def take_name(room: Room) -> None:
    """Be called init, and not as the process that forked it."""
    prepared_calls.set_name(room.calls, b"jsched-init")


def start_session(room: Room) -> None:
    """Leave the session, and with it every terminal."""
    prepared_calls.setsid(room.calls)


def renew_scratch(room: Room) -> None:
    """Make a file system in memory of the job's own, on top of the one that the next job will see, too."""
    calls = room.calls
    # What the forker has opened is in its mount namespace: in this one there are copies.
    prepared_calls.open_path(calls, b"/", result=room.root)
    prepared_calls.open_path(calls, PLACE.encode(), result=room.furniture)
    prepared_calls.new_mount(calls, b"tmpfs", HARMLESS, options(room.sandbox), result=room.scratch)
    _attach(room, room.scratch, PLACE.strip("/").encode())
    prepared_calls.umask(calls, 0)
    for name, mode in WRITABLE_DIRECTORIES:
        prepared_calls.make_directory(calls, room.scratch, name.encode(), mode)


def enter_cgroup_namespace(room: Room) -> None:
    """Show the job's cgroup as the root of all cgroups."""
    # Only now: a namespace made by clone(2) has its root at the parent's cgroup.
    prepared_calls.unshare(room.calls, namespaces.CLONE_NEWCGROUP)


def raise_loopback(room: Room) -> None:
    """Make 127.0.0.1 and ::1 usable, the only addresses there are."""
    prepared_calls.raise_loopback(room.calls)


def make_terminals(room: Room) -> None:
    """Mount pseudo terminals of the job's own, pts(4)."""
    wanted = {"mode": "620", "ptmxmode": "666", "max": str(TERMINALS)}
    if _maps_group(room.sandbox, _TTY_GROUP):
        wanted["gid"] = str(_TTY_GROUP)
    mount = prepared_calls.new_mount(room.calls, b"devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, wanted)
    _attach(room, mount, b"dev/pts")


def make_proc(room: Room) -> None:
    """Mount a read-only /proc of the job's own processes, and cover what tells too much of the host."""
    # Before the old root goes: only where a whole /proc is in sight may a user namespace mount another.
    proc = prepared_calls.new_mount(room.calls, b"proc", EMPTY)
    _attach(room, proc, b"proc")
    for name in room.sandbox.masked:
        if os.path.isdir(f"/proc/{name}"):
            cover = _empty(room)
        else:
            cover = prepared_calls.open_tree(room.calls, room.root, b"dev/null")
        # What is not there needs no cover.
        prepared_calls.move_mount_to(room.calls, cover, proc, name.encode(), tolerated=errno.ENOENT)


def make_writable(room: Room) -> None:
    """Mount what the job may write to, and cover the file system in memory that it comes from."""
    for name, place in _WRITABLE:
        _attach(room, prepared_calls.open_tree(room.calls, room.scratch, name), place)
    if room.sandbox.mode == HOST:
        for name, place in _WRITABLE_ON_HOST:
            _attach(room, prepared_calls.open_tree(room.calls, room.scratch, name), place, may_be_missing=True)
    _attach(room, _empty(room), PLACE.strip("/").encode(), may_be_missing=True)


def become_user(room: Room) -> None:
    """Become the user and group that the command runs as, in no other group."""
    sandbox = room.sandbox
    if not sandbox.has_user_namespace and 0 in (sandbox.uid, sandbox.gid):
        raise PermissionError(errno.EPERM, "root of the host")
    # In a user namespace of an ordinary user setgroups(2) is forbidden, namespaces.write_id_maps(): its groups stay.
    prepared_calls.become(room.calls, sandbox.uid, sandbox.gid, leave_groups=room.privileged)


def drop_capabilities(room: Room) -> None:
    """Have no capability in any set but those that were asked for, and one for the job's cgroup namespace."""
    prepared_calls.set_capabilities(room.calls, room.sandbox.capabilities | _until_joined(room.sandbox))


def drop_last_capability(room: Room) -> None:
    """Have no capability but those that were asked for, once the job's cgroup is the root of all cgroups."""
    prepared_calls.limit_capabilities(room.calls, room.sandbox.capabilities)


def refuse_cgroup_namespaces(room: Room) -> None:
    """Have the one system call refused, too, that the filter has left for the job's cgroup namespace."""
    prepared_calls.load_filter(room.calls, seccomp_last.PROGRAM)


def die_with_monitor(room: Room) -> None:
    """Be killed when the monitor ends, and everything in the namespace with it."""
    # Not before the last change of credentials, which would take it back, prctl(2). A monitor that has ended
    # before does not read what it is told at last, and writing to it fails.
    prepared_calls.set_parent_death_signal(room.calls, signal.SIGKILL)


def become_undumpable(room: Room) -> None:
    """Keep the command, which runs as the same user, from looking into init."""
    prepared_calls.set_not_dumpable(room.calls)


def filter_system_calls(room: Room) -> None:
    """Have every system call judged by the filter, for good."""
    prepared_calls.load_filter(room.calls, room.program)


def tell_monitor(room: Room) -> None:
    """Tell the monitor that the walls are up."""
    prepared_calls.write(room.calls, room.reports, encode(READY))


def _attach(room: Room, mount: Slot, path: bytes, *, may_be_missing: bool = False) -> None:
    """Give a mount its place, where no symbolic link may lead."""
    target = prepared_calls.open_inside(room.calls, room.root, path, tolerated=errno.ENOENT if may_be_missing else 0)
    prepared_calls.move_mount(room.calls, mount, target, tolerated=errno.EBADF if may_be_missing else 0)


def _empty(room: Room) -> Slot:
    """Take an empty directory that nothing can be done with."""
    cover = prepared_calls.open_tree(room.calls, room.furniture, b"empty")
    prepared_calls.mount_setattr(room.calls, cover, EMPTY)
    return cover


def _until_joined(sandbox: Sandbox) -> int:
    # Of the host's capabilities none is kept for it.
    return 1 << privileges.CAP_SYS_ADMIN if sandbox.has_user_namespace else 0


def _maps_group(sandbox: Sandbox, gid: int) -> bool:
    if not sandbox.has_user_namespace:
        return True
    return any(one.inside <= gid < one.inside + one.size for one in sandbox.gid_map)
