"""The steps that build the file system a job sees.

All of it happens in a mount namespace of the job's own. What is mounted where is decided by descriptor: a
target is opened inside the job's root, where no symbolic link is followed, so a hostile tree can't lead
outside. Everything writable comes from one file system in memory, so that one size limits it all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from jsched.isolation.copying import copy_tree
from jsched.isolation.sandbox import HOST, ROOTFS, Sandbox
from jsched.isolation.site import CLOSED, Site
from jsched.linux import mount_api
from jsched.linux.mount_api import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
)
from jsched.linux.openat2 import open_inside

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# The first of them, and what it must be: a mask that is some other file would not mask. Source: null(4).
_NULL_DEVICE = os.makedev(1, 3)
_DEV_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
_TTY_GROUP = 5

# No such file system, or not in a user namespace: before Linux 5.11.
_NO_OVERLAY = frozenset({errno.ENODEV, errno.EPERM})

# Where the file system in memory is mounted while the others are built; it is hidden behind an empty one after.
_SCRATCH_PLACE = "/sys"
_DIRECTORIES = (
    ("dev", 0o755),
    ("empty", 0o555),
    ("tmp", 0o1777),
    ("var-tmp", 0o1777),
    ("shm", 0o1777),
    ("run", 0o755),
    ("lower", 0o755),
    ("upper", 0o755),
    ("work", 0o755),
)
_WRITABLE = (("tmp", "tmp"), ("shm", "dev/shm"))
# In a root file system everything is writable already.
_WRITABLE_ON_HOST = (("var-tmp", "var/tmp"), ("run", "run"))
_TREE_ATTRIBUTES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
_EMPTY_ATTRIBUTES = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC


def open_sources(site: Site) -> None:
    """Take the root file system's tree, and what was asked for of the host's files, by their paths."""
    if site.sandbox.mode == ROOTFS and site.tree == CLOSED:
        site.tree = _open_source(site.sandbox.rootfs, _TREE_ATTRIBUTES | MOUNT_ATTR_RDONLY)
    for one in site.sandbox.binds[len(site.sources) :]:
        site.sources.append(
            _open_source(one.source, _TREE_ATTRIBUTES | (0 if one.writable else MOUNT_ATTR_RDONLY))
        )


def make_private(site: Site) -> None:
    """Make every mount read-only, nosuid, nodev and deaf to what the host mounts."""
    # Taken before nodev is set, or they would be no devices.
    site.devices = {name: mount_api.open_tree(f"/dev/{name}") for name in DEVICES}
    if os.fstat(site.devices["null"]).st_rdev != _NULL_DEVICE:
        raise OSError(errno.ENODEV, "/dev/null is not the null device")
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    # Not a slave: a file system that the host mounts later would come without these attributes.
    attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
    mount_api.mount_setattr(root, attributes, recursive=True, propagation=mount_api.MS_PRIVATE)
    site.root = root


def make_scratch(site: Site) -> None:
    """Make the file system in memory, with a directory for each use."""
    size = site.sandbox.scratch_size
    options = {"size": str(size), "nr_inodes": str(max(1024, size // 4096)), "mode": "0755"}
    site.scratch = mount_api.new_mount("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, options)
    _attach(site, site.scratch, _SCRATCH_PLACE)
    os.umask(0)
    for name, mode in _DIRECTORIES:
        os.mkdir(name, mode, dir_fd=site.scratch)


def make_root(site: Site) -> None:
    """Lay a writable layer in memory over the root file system's tree, or copy it where there is no overlayfs."""
    lower = os.open("lower", os.O_PATH | os.O_CLOEXEC, dir_fd=site.scratch)
    mount_api.move_mount(site.tree, lower)
    os.close(lower)
    try:
        root = _overlay(site)
    except OSError as error:
        if error.errno not in _NO_OVERLAY:
            raise
        root = _copy(site)
    # Stacked on the old root: it takes a mount that is attached to be pivoted into.
    mount_api.move_mount(root, site.root)
    os.close(site.root)
    site.root = root
    for name in ("dev", "proc", "sys", "tmp"):
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=root)


def make_dev(site: Site) -> None:
    """Mount a /dev that has the harmless devices and nothing else."""
    base = os.open("dev", os.O_PATH | os.O_CLOEXEC, dir_fd=site.scratch)
    for name in ("pts", "shm"):
        os.mkdir(name, 0o755, dir_fd=base)
    for name, target in _DEV_LINKS:
        os.symlink(target, name, dir_fd=base)
    for name in site.devices:
        os.close(os.open(name, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o644, dir_fd=base))
    os.close(base)
    dev = mount_api.open_tree("dev", at=site.scratch)
    mount_api.mount_setattr(dev, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
    _attach(site, dev, "dev")
    for name, device in site.devices.items():
        mount_api.move_mount_to(device, dev, name)
    options = {"mode": "620", "ptmxmode": "666"}
    if _maps_group(site.sandbox, _TTY_GROUP):
        options["gid"] = str(_TTY_GROUP)
    _attach(site, mount_api.new_mount("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, options), "dev/pts")


def make_proc(site: Site) -> None:
    """Mount a read-only /proc of the job's own processes, and cover what tells too much of the host."""
    # Before the old root goes: only where a whole /proc is in sight may a user namespace mount another.
    _attach(site, mount_api.new_mount("proc", _EMPTY_ATTRIBUTES), "proc")
    for name in site.sandbox.masked:
        _hide(site, f"proc/{name}")


def make_writable(site: Site) -> None:
    """Mount what the job may write to."""
    for name, place in _WRITABLE:
        _attach(site, mount_api.open_tree(name, at=site.scratch), place)
    if site.sandbox.mode == HOST:
        for name, place in _WRITABLE_ON_HOST:
            with contextlib.suppress(FileNotFoundError):
                _attach(site, mount_api.open_tree(name, at=site.scratch), place)


def hide(site: Site) -> None:
    """Cover what is none of the job's business, and the file system in memory itself."""
    for number, path in enumerate(site.sandbox.hidden):
        if any(one.target.startswith(f"{path}/") for one in site.sandbox.binds):
            # Places for the binds have to be made in this one.
            os.mkdir(f"cover-{number}", 0o755, dir_fd=site.scratch)
            _attach(site, mount_api.open_tree(f"cover-{number}", at=site.scratch), path)
        else:
            _hide(site, path)
    _hide(site, _SCRATCH_PLACE)


def bind(site: Site) -> None:
    """Mount what was asked for of the host's files."""
    for source, one in zip(site.sources, site.sandbox.binds, strict=True):
        _make_place(site, one.target, directory=stat.S_ISDIR(os.fstat(source).st_mode))
        _attach(site, source, one.target)


def pivot(site: Site) -> None:
    """Make the job's root the only one there is."""
    os.fchdir(site.root)
    mount_api.pivot_root_here()


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


def _attach(site: Site, mount: int, path: str) -> None:
    target = open_inside(site.root, path, os.O_PATH)
    try:
        mount_api.move_mount(mount, target)
    finally:
        os.close(target)


def _hide(site: Site, path: str) -> None:
    """Cover a directory with an empty one, a file with the null device; what is not there needs no cover."""
    try:
        target = open_inside(site.root, path, os.O_PATH)
    except FileNotFoundError:
        return
    try:
        if stat.S_ISDIR(os.fstat(target).st_mode):
            cover = mount_api.open_tree("empty", at=site.scratch)
            mount_api.mount_setattr(cover, _EMPTY_ATTRIBUTES)
        else:
            cover = mount_api.open_tree("dev/null", at=site.root)
        mount_api.move_mount(cover, target)
        os.close(cover)
    finally:
        os.close(target)


def _make_place(site: Site, path: str, *, directory: bool) -> None:
    """Make the directories that lead to a mount's target, and the target, where they are missing."""
    parent = os.dup(site.root)
    names = path.strip("/").split("/")
    for depth, name in enumerate(names, 1):
        try:
            place = open_inside(parent, name, os.O_PATH)
        except FileNotFoundError:
            if depth == len(names) and not directory:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent))
            else:
                os.mkdir(name, 0o755, dir_fd=parent)
            place = open_inside(parent, name, os.O_PATH)
        os.close(parent)
        parent = place
    os.close(parent)


def _overlay(site: Site) -> int:
    # Relative names, so that the job's list of mounts tells no path of the host.
    os.fchdir(site.scratch)
    try:
        options = {"lowerdir": "lower", "upperdir": "upper", "workdir": "work", "userxattr": ""}
        return mount_api.new_mount("overlay", _TREE_ATTRIBUTES, options)
    finally:
        os.chdir("/")


def _copy(site: Site) -> int:
    lower = os.open("lower", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=site.scratch)
    upper = os.open("upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=site.scratch)
    copy_tree(lower, upper)
    os.close(lower)
    os.close(upper)
    return mount_api.open_tree("upper", at=site.scratch)


def _maps_group(sandbox: Sandbox, gid: int) -> bool:
    if not sandbox.has_user_namespace:
        return True
    return any(one.inside <= gid < one.inside + one.count for one in sandbox.gid_map)
