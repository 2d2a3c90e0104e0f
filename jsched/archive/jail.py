"""The walls around the process that unpacks, and who puts them up.

*Keeper* (`keeper.py`): the process outside, that has the server's privileges, forks the one
inside, keeps the time and ends it. *Prisoner*: the one inside; it reads what a stranger sent.
It sees the directory that it writes to and nothing else, has no network, no processes but its
own, and no privileges: as root's, an unprivileged user with the two capabilities that giving
files away takes, in a user namespace where there is one.
"""

from __future__ import annotations

import os
import resource
import select
import signal
from typing import NamedTuple, NoReturn

from jsched.archive.refusal import Limits
from jsched.archive.tar import NOBODY
from jsched.linux import mount_api, privileges
from jsched.linux.mount_api import MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID
from jsched.linux.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    unshare,
)
from jsched.linux.seccomp import load_filter
from jsched.linux.syscalls import LAST_DESCRIPTOR, close_range, prctl_set_pdeathsig

# Where close_range() begins: what stands below is all that the prisoner has.
RESULT, ARCHIVE, ROOT, LIFELINE = 3, 4, 5, 6
_APART = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
_CHOWN_AND_FOWNER = 1 << privileges.CAP_CHOWN | 1 << privileges.CAP_FOWNER
_IDS = 65536
_OPEN_FILES = 512


class Walls(NamedTuple):
    """Which walls the kernel gives: a user namespace, a PID namespace, and the others, the mount namespace first."""

    user: bool
    pid: bool
    apart: bool

    def missing(self) -> list[str]:
        """Return the names of those that are not there."""
        names = ("user namespace", "PID namespace", "mount namespace")
        return [name for name, there in zip(names, self, strict=True) if not there]


def has_all_ids() -> bool:
    """Return whether this process may give files to any user that a tree has: it is root, and no mere container's.

    Source: user_namespaces(7), uid_map.
    """
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map", encoding="ascii") as ids, open("/proc/self/gid_map", encoding="ascii") as groups:
        return all(_covered(lines.read()) for lines in (ids, groups))


def confine_children(*, own: bool) -> Walls:
    """Give what this process forks next the namespaces that it can't give itself; say which there will be.

    `own` is what has_all_ids() says. Without, the process has to go into the user namespace itself.
    """
    if own:
        user = _can_unshare(CLONE_NEWUSER)
        apart = _can_unshare(_APART | (CLONE_NEWUSER if user else 0))
        # At last: this process can't fork any more once its first child in the new namespace has ended.
        return Walls(user=user, pid=_unshared(CLONE_NEWPID), apart=apart)
    uid, gid = os.geteuid(), os.getegid()
    if not _unshared(CLONE_NEWUSER | CLONE_NEWPID):
        return Walls(user=False, pid=False, apart=False)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")
    return Walls(user=True, pid=True, apart=True)


def map_ids(pid: int) -> None:
    """Give the user namespace of a child its ids, the same inside as outside; user_namespaces(7)."""
    _write(f"/proc/{pid}/uid_map", f"0 0 {_IDS}")
    _write(f"/proc/{pid}/gid_map", f"0 0 {_IDS}")


def enter(directory: str, identity: tuple[int, int], walls: Walls, limits: Limits, *, own: bool, program: bytes) -> int:
    """Put up the walls around this process, and return the descriptor of the directory it may write to.

    `identity` is the directory's device and inode, `program` the filter of system calls, or empty.
    Raises OSError naming the call if a wall that was promised can't be put up.
    """
    memory = _memory_in_use() + limits.memory
    if walls.apart or own:
        _change_root(directory, identity, walls)
        directory = "/"
    root = _open(directory, identity)
    if root != ROOT:
        os.dup2(root, ROOT, inheritable=False)
    close_range(LIFELINE + 1, LAST_DESCRIPTOR)
    _limit(limits, memory)
    _drop_privileges(own=own)
    privileges.set_no_new_privileges()
    privileges.set_not_dumpable()
    os.umask(0)
    prctl_set_pdeathsig(signal.SIGKILL)
    _check_keeper()
    if program:
        load_filter(program)
    return ROOT


def _change_root(directory: str, identity: tuple[int, int], walls: Walls) -> None:
    if walls.apart:
        unshare(_APART)
        _make_mounts_private()
    # By its path, as a descriptor from before leads into the mount namespace outside.
    descriptor = _open(directory, identity)
    try:
        privileges.drop_from_bounding_set(0)
        if walls.apart:
            _enter_root(descriptor)
        else:
            # Root of a container, mostly. It holds whoever has no CAP_SYS_CHROOT and no descriptor from outside.
            os.fchdir(descriptor)
            os.chroot(".")
    finally:
        os.close(descriptor)


def _make_mounts_private() -> None:
    """Let no mount of this mount namespace reach another."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        mount_api.mount_setattr(root, 0, recursive=True, propagation=mount_api.MS_PRIVATE)
    finally:
        os.close(root)


def _enter_root(directory: int) -> None:
    """Make the directory of this descriptor the root of all that this process sees.

    Needs a mount namespace of its own, in which the descriptor was opened. No device, setuid
    bit or program works in it.
    """
    tree = mount_api.open_tree("", at=directory)
    try:
        mount_api.mount_setattr(tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
        mount_api.move_mount(tree, directory)
        os.fchdir(tree)
        mount_api.pivot_root_here()
    finally:
        os.close(tree)


def _open(directory: str, identity: tuple[int, int]) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) != identity:
        os.close(descriptor)
        raise NotADirectoryError("the directory to unpack to is another one than before")
    return descriptor


def _memory_in_use() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _limit(limits: Limits, memory: int) -> None:
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, limits.seconds),
        (resource.RLIMIT_FSIZE, limits.size),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_NPROC, 0),
        # With 0 the kernel would start the host's program for core dumps, with 1 it does not, core(5).
        (resource.RLIMIT_CORE, 1),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (limit, limit))


def _drop_privileges(*, own: bool) -> None:
    if not own:
        privileges.set_capabilities(0)
        return
    privileges.keep_capabilities()
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    privileges.set_capabilities(_CHOWN_AND_FOWNER)


def _check_keeper() -> None:
    """End if the keeper had ended before it could take us with it."""
    poller = select.poll()
    poller.register(LIFELINE, 0)
    if poller.poll(0):
        _end()


def _end() -> NoReturn:
    os._exit(1)


def _covered(mapping: str) -> bool:
    inside, _, count = (int(field) for field in (mapping.split() + ["0"] * 3)[:3])
    return inside == 0 and count >= _IDS


def _can_unshare(flag: int) -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _unshared(flag) else 1)
    return os.waitpid(pid, 0)[1] == 0


def _unshared(flags: int) -> bool:
    try:
        unshare(flags)
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
