"""The directories that the engine keeps its files in, and the lock that one engine holds on them."""

from __future__ import annotations

import fcntl
import grp
import os
import stat
from pathlib import Path

from jsched.config import Config
from jsched.errors import FailedPrecondition, InvalidArgument
from jsched.linux import file_attributes


def prepare(config: Config) -> int:
    """Make the directories, take the lock, and return its descriptor; closing it gives the lock back.

    State is for the server's user alone (0700). Raises FailedPrecondition if a directory
    can't be used or another engine holds the lock.
    """
    for directory in (config.data_dir, config.exits_dir, config.runs_dir, config.stops_dir):
        _make(directory, 0o700)
    _make(config.log_dir, 0o755)
    return _lock(config.data_dir / "lock")


def log_gid(config: Config) -> int | None:
    """Return the number of the group that log files get, None for the server's own.

    Raises InvalidArgument for a group that does not exist or that the server may not give.
    """
    if config.log_group is None:
        return None
    try:
        gid = int(config.log_group) if config.log_group.isdigit() else grp.getgrnam(config.log_group).gr_gid
    except KeyError:
        raise InvalidArgument(f"log_group {config.log_group!r} is not a group of this host", obj="log_group") from None
    if os.geteuid() != 0 and gid != os.getegid() and gid not in os.getgroups():
        raise InvalidArgument(
            f"log_group {config.log_group!r} is not a group of the user that runs the server",
            obj="log_group",
            hint="add the user to the group",
        )
    return gid


def remove_log(path: Path) -> None:
    """Remove a log file, if it is there; that of a job whose monitor was killed may still be append-only."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        file_attributes.release(path)
        path.unlink(missing_ok=True)


def remove_tree(path: Path) -> None:
    """Remove a file or a tree, whatever its directories' modes are, following no link."""
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove(parent, path.name)
    finally:
        os.close(parent)


def _make(directory: Path, mode: int) -> None:
    try:
        directory.mkdir(mode=mode, parents=True, exist_ok=True)
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "the server's user may not read and write it")
        if mode == 0o700 and directory.stat().st_mode & 0o077:
            directory.chmod(mode)
    except OSError as error:
        raise FailedPrecondition(f"directory {directory}: {error.strerror}", obj=str(directory)) from None


def _lock(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise FailedPrecondition(f"file {path}: {error.strerror}", obj=str(path)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FailedPrecondition(
            f"another jsched uses {path.parent}", obj=str(path.parent), hint="stop it, or give another data directory"
        ) from None
    return descriptor


def _remove(parent: int, name: str) -> None:
    if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=parent)
        return
    # Its owner may have shut himself out; nobody else has a hand in here who could put a link in its place.
    os.chmod(name, 0o700, dir_fd=parent)
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        for entry in os.listdir(descriptor):
            _remove(descriptor, entry)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=parent)
