"""Attempts on files: the host's, programs that are running, and device nodes."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Callable

from tests.helpers.escapes.attempt import Host, NothingToTry, attempt, opening

_HOSTS_DISK, _KERNELS_MEMORY = os.makedev(8, 0), os.makedev(1, 1)

# A running program can't be opened for writing, but it is the permission that counts.
opening("file: own executable", "/proc/self/exe")
opening("file: executable of process 1", "/proc/1/exe")
opening("file: interpreter", os.path.realpath(sys.executable))
opening("file: /etc/passwd", "/etc/passwd")
opening("file: /etc/shadow", "/etc/shadow", os.O_RDONLY)
opening("file: root's home", "/root", os.O_RDONLY | os.O_DIRECTORY)


@attempt("file: reading one of the host")
def _read(host: Host) -> None:
    os.close(os.open(_given(host), os.O_RDONLY))


@attempt("file: writing one of the host")
def _write(host: Host) -> None:
    os.close(os.open(_given(host), os.O_WRONLY))


@attempt("file: reading one of the host by process 1")
def _read_by_init(host: Host) -> None:
    os.close(os.open("/proc/1/root" + _given(host), os.O_RDONLY))


@attempt("file: making one in /etc")
def _make(_: Host) -> None:
    fd, name = tempfile.mkstemp(prefix="jsched-probe-", dir="/etc")
    os.close(fd)
    os.unlink(name)


@attempt("file: making one in /usr")
def _make_in_usr(_: Host) -> None:
    fd, name = tempfile.mkstemp(prefix="jsched-probe-", dir="/usr")
    os.close(fd)
    os.unlink(name)


@attempt("device: making a node of the host's disk")
def _block(_: Host) -> None:
    _with_node(stat.S_IFBLK, _HOSTS_DISK, lambda _: None)


@attempt("device: making a node of the kernel's memory")
def _character(_: Host) -> None:
    _with_node(stat.S_IFCHR, _KERNELS_MEMORY, lambda _: None)


@attempt("device: opening a node that it made", errno.ENXIO)
def _open_node(_: Host) -> None:
    _with_node(stat.S_IFCHR, _KERNELS_MEMORY, lambda path: os.close(os.open(path, os.O_RDONLY)))


@attempt("device: a block device in /dev")
def _in_dev(_: Host) -> None:
    refused: OSError = FileNotFoundError(errno.ENOENT, "no block device")
    for entry in os.scandir("/dev"):
        if stat.S_ISBLK(entry.stat(follow_symlinks=False).st_mode):
            try:
                return os.close(os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK))
            except OSError as error:
                refused = error
    raise refused


def _with_node(kind: int, device: int, use: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "node")
        os.mknod(path, kind | 0o600, device)
        use(path)


def _given(host: Host) -> str:
    if host.file is None:
        raise NothingToTry
    return host.file
