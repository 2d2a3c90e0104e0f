"""Where the state and the logs are kept."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jsched import datadir
from jsched.commands.doctor.finding import Finding, fail, ok, size, warn
from jsched.config import Config
from jsched.errors import InvalidArgument
from jsched.linux import file_attributes, mounts

# The database needs shared memory between processes (WAL) and locks, the watcher events of
# every write: no file system that other hosts write to has all of them.
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs", "afs"})
_MEMORY = frozenset({"tmpfs", "ramfs"})
_NO_FILES = frozenset({"squashfs", "iso9660", "erofs", "proc", "sysfs", "cgroup", "cgroup2", "devpts"})
_TOO_LITTLE = 64 * 1024 * 1024
_LITTLE = 1024 * 1024 * 1024
_FEW_INODES = 10_000


def data(config: Config) -> Iterator[Finding]:
    """Whether the data directory can be used, is private, and lies where it lasts."""
    yield _directory("data directory", config.data_dir, private=True)
    yield _file_system("its file system", config.data_dir)


def logs(config: Config) -> Iterator[Finding]:
    """Whether jobs can write their output."""
    yield _directory("log directory", config.log_dir, private=False)
    yield _file_system("its file system", config.log_dir)
    yield _space(config.log_dir)
    yield _append_only(config.log_dir)


def log_group(config: Config) -> Finding:
    """Whether the server may give its logs to the configured group."""
    if config.log_group is None:
        return ok("log group", "the server's own")
    try:
        return ok("log group", f"{config.log_group} ({datadir.log_gid(config)})")
    except InvalidArgument as error:
        return fail("log group", error.message, error.hint or f"groupadd {config.log_group}, or set another log_group")


def _directory(subject: str, path: Path, *, private: bool) -> Finding:
    there = _nearest(path)
    if not there.is_dir():
        return fail(subject, f"{there} is not a directory", "remove it, or configure another directory")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        user = os.geteuid()
        if there != path:
            # What is above it is somebody else's, such as /var/lib: nobody is to be told to give that away.
            make = f"install -d -o {user} -m {'0700' if private else '0755'} {shlex.quote(str(path))}"
            return fail(subject, f"{path} can't be made by user {user}", f"{make}, or configure another")
        return fail(subject, f"{there} can't be written by user {user}", f"chown {user} {there}, or configure another")
    if there != path:
        return ok(subject, f"{path}, to be made in {there}")
    if private and (mode := stat.S_IMODE(there.stat().st_mode)) & 0o077:
        return warn(subject, f"{path} has mode {mode:04o}: others may read it", "the server makes it 0700 at its start")
    return ok(subject, str(path))


def _file_system(subject: str, path: Path) -> Finding:
    kind = mounts.file_system(_nearest(path))
    if kind in _NETWORK:
        return fail(subject, f"{kind}, a network file system", "use a file system of this host alone")
    if kind in _NO_FILES:
        return fail(subject, f"{kind}: no file can be made there", "use another directory")
    if kind in _MEMORY:
        return warn(subject, f"{kind}: all of it is gone when the host restarts", "use a directory on a disk")
    return ok(subject, kind)


def _space(path: Path) -> Finding:
    there = os.statvfs(_nearest(path))
    free = there.f_bavail * there.f_frsize
    text = f"{size(free)} free of {size(there.f_blocks * there.f_frsize)}"
    if free < _TOO_LITTLE:
        return fail("free space", text, "delete old jobs (jsched-cli delete), or give the logs a larger disk")
    if free < _LITTLE:
        return warn("free space", text, "delete old jobs (jsched-cli delete), or give the logs a larger disk")
    # A file system that counts no inodes says that it has none.
    if there.f_files and there.f_favail < _FEW_INODES:
        return warn("free space", f"{text}, but only {there.f_favail} inodes", "a job needs a file: delete old jobs")
    return ok("free space", text)


def _append_only(path: Path) -> Finding:
    """Whether a job can be kept from changing what it has said; tried on a file without a name."""
    there = _nearest(path)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file_attributes.set_append_only(file.fileno())
            file_attributes.clear_append_only(file.fileno())
    except OSError as error:
        text = "can't be had: a job can change what it has printed"
        if file_attributes.is_unsupported(error):
            return warn("append-only logs", text, "use ext4, xfs or btrfs for the logs")
        if error.errno == errno.EPERM:
            return warn(
                "append-only logs", text, "give the server CAP_LINUX_IMMUTABLE: AmbientCapabilities= in the unit"
            )
        return warn("append-only logs", f"{text} ({error.strerror})", "see the log directory")
    return ok("append-only logs", "a job can't change what it has printed")


def _nearest(path: Path) -> Path:
    """Return `path`, or the nearest directory above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())
