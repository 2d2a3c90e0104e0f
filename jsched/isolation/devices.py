"""The step that makes a /dev with the harmless devices and nothing else."""

from __future__ import annotations

import errno
import os

from jsched.isolation.places import attach
from jsched.isolation.site import Site
from jsched.linux import mount_api
from jsched.linux.mount_api import MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY

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


def take_devices(site: Site) -> None:
    """Take the harmless device nodes of the host, while they are devices."""
    site.devices = {name: mount_api.open_tree(f"/dev/{name}") for name in DEVICES}
    if os.fstat(site.devices["null"]).st_rdev != _NULL_DEVICE:
        raise OSError(errno.ENODEV, "/dev/null is not the null device")


def make_dev(site: Site) -> None:
    """Mount a /dev that has the harmless devices and nothing else."""
    base = os.open("dev", os.O_PATH | os.O_CLOEXEC, dir_fd=site.furniture)
    for name in ("pts", "shm"):
        os.mkdir(name, 0o755, dir_fd=base)
    for name, target in _DEV_LINKS:
        os.symlink(target, name, dir_fd=base)
    for name in site.devices:
        os.close(os.open(name, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o644, dir_fd=base))
    os.close(base)
    dev = mount_api.open_tree("dev", at=site.furniture)
    mount_api.mount_setattr(dev, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
    attach(site, dev, "dev")
    for name, device in site.devices.items():
        mount_api.move_mount_to(device, dev, name)
