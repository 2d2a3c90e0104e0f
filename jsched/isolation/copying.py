"""Copying a directory tree by descriptors, where it can't be overlaid.

Every name is looked up in a directory that is open, and no symbolic link is followed.
"""

from __future__ import annotations

import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 24


def copy_tree(source: int, target: int) -> None:
    """Copy what is in one open directory into the other: files, directories and symbolic links.

    With owners, modes and times; devices, sockets and FIFOs are left out, and setuid and setgid bits too.
    Raises OSError.
    """
    links: dict[tuple[int, int], str] = {}
    _copy_directory(source, target, target, "", links)


def _copy_directory(source: int, target: int, top: int, path: str, links: dict[tuple[int, int], str]) -> None:
    for name in os.listdir(source):
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        inner = f"{path}/{name}" if path else name
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        elif stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            below, copy = os.open(name, _DIRECTORY, dir_fd=source), os.open(name, _DIRECTORY, dir_fd=target)
            _copy_directory(below, copy, top, inner, links)
            _keep_attributes(copy, status)
            os.close(below)
            os.close(copy)
        elif stat.S_ISREG(status.st_mode):
            first = links.setdefault((status.st_dev, status.st_ino), inner)
            if first != inner:
                os.link(first, name, src_dir_fd=top, dst_dir_fd=target, follow_symlinks=False)
            else:
                _copy_file(source, target, name, status)


def _copy_file(source: int, target: int, name: str, status: os.stat_result) -> None:
    reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
    while os.sendfile(writer, reader, None, _CHUNK):
        pass
    _keep_attributes(writer, status)
    os.close(reader)
    os.close(writer)


def _keep_attributes(fd: int, status: os.stat_result) -> None:
    os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode) & 0o1777)
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
