"""Whom files of the host belong to inside a user namespace: the monitor's part, before init may go on.

Ids of the host mean nothing inside. A root file system's tree is shown as if its ids were those inside, and
what a job may write to as if its owner were the job's user, so that what the job makes there belongs to that
owner on the host. Source: mount_setattr(2), "ID-mapped mounts".
"""

from __future__ import annotations

import errno
import os
import signal
from typing import NoReturn

from jsched.isolation.places import binding
from jsched.isolation.sandbox import IdRange
from jsched.isolation.site import CLOSED, Site
from jsched.linux import mount_api, namespaces, syscalls


def map_owners(site: Site, pid: int) -> None:
    """Map the owners of all that init is going to mount; `pid` is init's.

    Raises OSError, EINVAL where a file system can't do that.
    """
    if site.tree != CLOSED:
        own = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        _map(site.tree, own)
    for number, (source, bind) in enumerate(zip(site.sources, site.sandbox.binds, strict=True)):
        status = os.fstat(source)
        # What belongs to root stays root's: a job must not be able to make a setuid program of root's.
        if bind.writable and 0 not in (status.st_uid, status.st_gid):
            uids = IdRange(status.st_uid, _outside(site.sandbox.uid, site.sandbox.uid_map), 1)
            gids = IdRange(status.st_gid, _outside(site.sandbox.gid, site.sandbox.gid_map), 1)
            with binding("owners", number):
                _map(source, _user_namespace(uids, gids))


def _map(mount: int, user_namespace: int) -> None:
    try:
        mount_api.map_ids(mount, user_namespace)
    finally:
        os.close(user_namespace)


def _outside(inside: int, ranges: tuple[IdRange, ...]) -> int:
    """Return the host's id for an id of the user namespace; raises OSError if it has none."""
    for one in ranges:
        if one.inside <= inside < one.inside + one.size:
            return one.outside + inside - one.inside
    raise OSError(errno.EINVAL, f"id {inside} is in none of the ranges")


def _sit(monitor: int) -> NoReturn:
    """Be there, holding nothing, until the monitor ends this process, or ends itself."""
    try:
        syscalls.close_range(0, syscalls.LAST_DESCRIPTOR)
        syscalls.prctl_set_pdeathsig(signal.SIGKILL)
        while os.getppid() == monitor:
            signal.pause()
    finally:
        os._exit(0)


def _user_namespace(uids: IdRange, gids: IdRange) -> int:
    """Return a descriptor of a user namespace with these maps, that nobody is in."""
    monitor = os.getpid()
    pid = namespaces.fork_into(namespaces.CLONE_NEWUSER)
    if pid == 0:
        _sit(monitor)
    try:
        namespaces.write_id_maps(pid, (uids,), (gids,))
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
