"""The steps that build the file system a job sees.

All of it happens in a mount namespace of the job's own, or of a forker's. What is written to is in room.
"""

from __future__ import annotations

import os
import stat

from jsched.isolation import scratch
from jsched.isolation.places import COVERED, HARMLESS, attach, binding, cover, is_below, make_place
from jsched.isolation.sandbox import ROOTFS
from jsched.isolation.site import CLOSED, Site
from jsched.linux import mount_api, mounts
from jsched.linux.mount_api import MOUNT_ATTR_RDONLY
from jsched.linux.openat2 import open_inside

# The types of file systems that hold no files, but show the kernel and what runs.
_KERNEL = """
    binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs proc pstore
    rpc_pipefs securityfs selinuxfs smackfs sysfs tracefs
"""
_OF_THE_KERNEL = frozenset(_KERNEL.split())


def open_sources(site: Site) -> None:
    """Take the root file system's tree, and what was asked for of the host's files, by their paths."""
    if site.sandbox.mode == ROOTFS and site.tree == CLOSED:
        site.tree = _open_source(site.sandbox.rootfs, HARMLESS | MOUNT_ATTR_RDONLY)
    for number, one in enumerate(site.sandbox.binds[len(site.sources) :], len(site.sources)):
        with binding("sources", number):
            site.sources.append(_open_source(one.source, HARMLESS | (0 if one.writable else MOUNT_ATTR_RDONLY)))


def make_private(site: Site) -> None:
    """Make every mount read-only, nosuid, nodev and deaf to what the host mounts."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    # Not a slave: a file system that the host mounts later would come without these attributes.
    mount_api.mount_setattr(root, HARMLESS | MOUNT_ATTR_RDONLY, recursive=True, propagation=mount_api.MS_PRIVATE)
    site.root = root


def make_scratch(site: Site) -> None:
    """Make the file system in memory, with a directory for each use."""
    site.scratch = site.furniture = mount_api.new_mount("tmpfs", HARMLESS, scratch.options(site.sandbox))
    attach(site, site.scratch, scratch.PLACE)
    os.umask(0)
    for name, mode in scratch.DIRECTORIES:
        os.mkdir(name, mode, dir_fd=site.scratch)


def hide(site: Site) -> None:
    """Cover what is none of the job's business."""
    for number, path in enumerate(site.sandbox.hidden):
        if any(one.target.startswith(f"{path}/") for one in site.sandbox.binds):
            # Places for the binds have to be made in this one.
            os.mkdir(f"cover-{number}", 0o755, dir_fd=site.scratch)
            attach(site, mount_api.open_tree(f"cover-{number}", at=site.scratch), path)
        else:
            cover(site, path)


def hide_kernel(site: Site) -> None:
    """Cover what of the kernel, of /dev and of /run the host shows in yet another place, as in a chroot."""
    furniture = mounts.mount_id(site.scratch)
    everything = mounts.all_mounts()
    own = next((one.device for one in everything if one.id == furniture), "")
    found = [one for one in everything if one.device != own]
    # What is in memory there holds sockets and the like; on a disk, what everybody may read anyway.
    shared = {one.device for one in found if one.type == "tmpfs" and _is_covered(one.point)}
    for one in found:
        if not _is_covered(one.point) and (one.type in _OF_THE_KERNEL or one.device in shared):
            _cover_mount(site, one)


def bind(site: Site) -> None:
    """Mount what was asked for of the host's files."""
    for number, (source, one) in enumerate(zip(site.sources, site.sandbox.binds, strict=True)):
        with binding("bind", number):
            make_place(site, one.target, directory=stat.S_ISDIR(os.fstat(source).st_mode))
            attach(site, source, one.target)


def pivot(site: Site) -> None:
    """Make the job's root the only one there is."""
    os.fchdir(site.root)
    mount_api.pivot_root_here()


def _is_covered(path: str) -> bool:
    return any(is_below(path, place) for place in COVERED)


def _cover_mount(site: Site, mount: mounts.Mount) -> None:
    try:
        target = open_inside(site.root, mount.point, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Covered already, or in a directory that jobs can't enter, either.
        return
    try:
        is_seen = mounts.mount_id(target) == mount.id
    finally:
        os.close(target)
    if is_seen:
        cover(site, mount.point)


def _open_source(path: str, attributes: int) -> int:
    # No symbolic link anywhere: the server has resolved them, and what it has judged is what is taken.
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    fd = open_inside(root, path, os.O_PATH)
    os.close(root)
    try:
        mount = mount_api.open_tree("", at=fd, recursive=True)
    finally:
        os.close(fd)
    mount_api.mount_setattr(mount, attributes, recursive=True, propagation=mount_api.MS_PRIVATE)
    return mount
