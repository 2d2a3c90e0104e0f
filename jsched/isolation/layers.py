"""The step that makes a root file system's tree the job's root: overlaid, or copied, and never changed itself."""

from __future__ import annotations

import contextlib
import errno
import os

from jsched.isolation.copying import copy_tree
from jsched.isolation.places import HARMLESS
from jsched.isolation.site import Site
from jsched.linux import mount_api

# No such file system; not in a user namespace (before Linux 5.11); not on a tree whose owners are mapped (5.19).
_NO_OVERLAY = frozenset({errno.ENODEV, errno.EPERM, errno.EINVAL})


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


def _overlay(site: Site) -> int:
    # Relative names, so that the job's list of mounts tells no path of the host.
    os.fchdir(site.scratch)
    try:
        options = {"lowerdir": "lower", "upperdir": "upper", "workdir": "work", "userxattr": ""}
        return mount_api.new_mount("overlay", HARMLESS, options)
    finally:
        os.chdir("/")


def _copy(site: Site) -> int:
    lower = os.open("lower", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=site.scratch)
    upper = os.open("upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=site.scratch)
    copy_tree(lower, upper)
    os.close(lower)
    os.close(upper)
    return mount_api.open_tree("upper", at=site.scratch)
