"""Which cgroup hierarchy this machine offers to this user: looked up once, when the server starts."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Mapping
from pathlib import Path

from jsched.isolation.hierarchy import Hierarchy, NoHierarchy
from jsched.isolation.hierarchy_v1 import CONTROLLERS, HierarchyV1
from jsched.isolation.hierarchy_v2 import OWN, HierarchyV2
from jsched.linux.cgroups import MOUNTINFO, OWN_CGROUP, CgroupMount, below_mount, cgroup_mounts, own_cgroups

# systemd marks with it what it has delegated. Source: systemd.resource-control(5), Delegate=
DELEGATED = "user.delegate"


def discover(
    name: str, parent: str | None = None, *, mountinfo: Path = MOUNTINFO, own: Path = OWN_CGROUP
) -> Hierarchy | NoHierarchy:
    """Return where cgroups can be made for jobs, ready for them, or why they can't.

    `name` is that of the server's group; it is made below the cgroup `parent`, by default the root
    of each hierarchy, and for an ordinary user on version 2 the cgroup that this process is in.
    """
    hierarchy = look(name, parent, mountinfo=mountinfo, own=own)
    if isinstance(hierarchy, NoHierarchy):
        return hierarchy
    try:
        hierarchy.prepare()
    except OSError as error:
        # Nobody else knows of the groups that were made until then.
        with contextlib.suppress(OSError):
            hierarchy.remove()
        return NoHierarchy(f"{error.filename}: {error.strerror}")
    return hierarchy


def look(
    name: str, parent: str | None = None, *, mountinfo: Path = MOUNTINFO, own: Path = OWN_CGROUP
) -> Hierarchy | NoHierarchy:
    """Return what `discover` does, before anything is made there."""
    try:
        return _choose(name, parent, cgroup_mounts(mountinfo), own_cgroups(own))
    except OSError as error:
        return NoHierarchy(f"{error.filename}: {error.strerror}")


def _choose(
    name: str, parent: str | None, mounts: list[CgroupMount], own: Mapping[str, str]
) -> Hierarchy | NoHierarchy:
    group = posixpath.join((parent or "").strip("/"), name)
    first = [mount for mount in mounts if set(mount.controllers) & set(CONTROLLERS)]
    if first:
        return HierarchyV1(first, group)
    second = next((mount for mount in mounts if mount.version == 2), None)
    if second is None:
        return NoHierarchy("no cgroup hierarchy is mounted")
    if parent is not None or os.geteuid() == 0:
        return HierarchyV2(second.mount_point, "", group)
    delegated = _delegated(second, own, name)
    if delegated is None:
        return NoHierarchy("no cgroup is delegated to this user: run the server as a systemd service with Delegate=yes")
    top, subgroup = delegated
    return HierarchyV2(second.mount_point, top, posixpath.join(top, name), subgroup)


def _delegated(mount: CgroupMount, own: Mapping[str, str], name: str) -> tuple[str, str | None] | None:
    """Return the cgroup, from the mount point, in which this user may make others; None if there is none.

    With it comes the one in there that systemd has started this process in, if it was asked to.
    """
    inside = below_mount(mount, own.get("", "/.."))
    if inside is None:
        return None
    inside = inside.removesuffix(name + OWN).rstrip("/")
    above = posixpath.dirname(inside)
    # DelegateSubgroup= starts a service one below what was delegated to it.
    for top in (above, inside):
        directory = posixpath.join(mount.mount_point, top)
        if (top == inside or _is_marked(directory)) and _may_use(directory):
            return top, None if top == inside else inside
    return None


def _is_marked(directory: str) -> bool:
    try:
        return os.getxattr(directory, DELEGATED) == b"1"
    except OSError:
        return False


def _may_use(directory: str) -> bool:
    files = ("", "cgroup.procs", "cgroup.subtree_control")
    return all(os.access(posixpath.join(directory, file), os.W_OK) for file in files)
