"""Places in the job's root directory, and what is mounted there.

A place is opened inside the root, where no symbolic link is followed, and mounted on by descriptor: a hostile
tree can't lead outside.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from jsched.isolation.scratch import PLACE
from jsched.isolation.site import Site
from jsched.linux import mount_api
from jsched.linux.mount_api import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
)
from jsched.linux.openat2 import open_inside
from jsched.linux.prepared import Failed

# Where every job has something of jsched's, that it or init needs to be as it is, and whatever lies below.
RESERVED = ("/dev", "/proc", PLACE)
# What lies there is the job's own, or covered, in any case.
COVERED = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp")  # noqa: S108
HARMLESS = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
EMPTY = HARMLESS | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC


def attach(site: Site, mount: int, path: str) -> None:
    """Give an unattached mount its place; raises OSError, ELOOP for a place behind a symbolic link."""
    target = open_inside(site.root, path, os.O_PATH)
    try:
        mount_api.move_mount(mount, target)
    finally:
        os.close(target)


def cover(site: Site, path: str) -> None:
    """Cover a directory with an empty one, a file with the null device; what is not there needs no cover."""
    # The kernel knows which it is without asking the file system, which may be a user's own, and never answer.
    try:
        target = open_inside(site.root, path, os.O_PATH | os.O_DIRECTORY)
        is_directory = True
    except FileNotFoundError:
        return
    except NotADirectoryError:
        target = open_inside(site.root, path, os.O_PATH)
        is_directory = False
    try:
        if is_directory:
            cover = mount_api.open_tree("empty", at=site.furniture)
            mount_api.mount_setattr(cover, EMPTY)
        else:
            cover = mount_api.open_tree("dev/null", at=site.root)
        mount_api.move_mount(cover, target)
        os.close(cover)
    finally:
        os.close(target)


def is_below(path: str, above: str) -> bool:
    """Return whether a path is `above`, or lies below it."""
    return path == above or path.startswith(f"{above}/")


@contextlib.contextmanager
def binding(step: str, number: int) -> Iterator[None]:
    """Make an OSError the failure of a step at one of the sandbox's binds, by its place in them."""
    try:
        yield
    except OSError as error:
        raise Failed(f"{step}:{number}", error.errno or errno.EIO) from error


def make_place(site: Site, path: str, *, directory: bool) -> None:
    """Make the directories that lead to a mount's target, and the target, where they are missing.

    Raises OSError: EISDIR for a file's target that is a directory, ENOTDIR for a directory's that is none.
    """
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
    found = stat.S_ISDIR(os.fstat(parent).st_mode)
    os.close(parent)
    if found != directory:
        number = errno.EISDIR if found else errno.ENOTDIR
        raise OSError(number, os.strerror(number), path)
