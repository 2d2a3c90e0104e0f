"""A cgroup of version 2 that root hands to another user's server, as systemd's Delegate= does.

It is beside systemd's own at the top of the hierarchy: a service whose cgroup has cgroups with
controllers below can't be started again by a systemd older than 254, so its jobs are elsewhere.
Source: Documentation/admin-guide/cgroup-v2.rst, Delegation.
"""

from __future__ import annotations

import contextlib
import os

from jsched.errors import FailedPrecondition
from jsched.isolation.cgroupfs import Cgroupfs
from jsched.isolation.discovery import DELEGATED
from jsched.isolation.hierarchy_v2 import CONTROLLERS
from jsched.linux.cgroups import cgroup_mounts

# Whose owner may make cgroups below, and move processes between them.
_HANDED_OVER = ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")


def enter_delegated(uid: int, gid: int) -> str:
    """Make a cgroup with all controllers for a user, move this process below it, and return its path.

    It stays when the process ends: jobs may be in it. One of an earlier start is used again. Raises
    FailedPrecondition where controllers are in hierarchies of version 1, which can't be handed over,
    and for what the kernel refuses.
    """
    mounts = cgroup_mounts()
    second = next((mount for mount in mounts if mount.version == 2), None)
    if second is None or any(set(mount.controllers) & set(CONTROLLERS) for mount in mounts):
        raise FailedPrecondition(
            "this host has no cgroup hierarchy of version 2 with controllers, and no other can be handed to a user",
            obj="cgroup",
            hint="run the server as root, or without limits: see docs/operations.md",
        )
    fs = Cgroupfs(second.mount_point.rstrip("/"))
    name = f"jsched-of-{uid}"
    try:
        _hand_down(fs)
        _make(fs, name, uid, gid)
        os.setxattr(fs.path(name), DELEGATED, b"1")
        leaf = f"{name}/server"
        _make(fs, leaf, uid, gid)
        fs.write(f"{leaf}/cgroup.procs", "0")
    except OSError as error:
        raise FailedPrecondition(
            f"cgroup {error.filename or fs.path(name)} can't be handed to user {uid}: {error.strerror}", obj="cgroup"
        ) from None
    return fs.path(name)


def _hand_down(fs: Cgroupfs) -> None:
    for controller in set(CONTROLLERS) & set(fs.read("cgroup.controllers").split()):
        # The server names the ones that are missing.
        with contextlib.suppress(OSError):
            fs.write("cgroup.subtree_control", f"+{controller}")


def _make(fs: Cgroupfs, name: str, uid: int, gid: int) -> None:
    with contextlib.suppress(FileExistsError):
        fs.make_directory(name)
    for file in _HANDED_OVER:
        os.chown(fs.path(f"{name}/{file}".rstrip("/")), uid, gid, follow_symlinks=False)
