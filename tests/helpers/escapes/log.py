"""Attempts to change what the job has said: its standard output is its log."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct

from tests.helpers.escapes.attempt import Host, NothingToTry, attempt

_LOG = 1
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS, _FS_APPEND_FL = 0x80086601, 0x40086602, 0x20
_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE_RANGE, _ZERO_RANGE = 1, 2, 8, 16
_FAR, _BLOCK = 1 << 30, 4096
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


@attempt("log: truncating it")
def _truncate(_: Host) -> None:
    # To the length that it has: nothing goes where it is allowed.
    os.ftruncate(_LOG, _size())


@attempt("log: truncating it by /proc/self/fd")
def _truncate_by_path(_: Host) -> None:
    os.truncate(f"/proc/self/fd/{_LOG}", _size())


@attempt("log: punching a hole")
def _punch(_: Host) -> None:
    _fallocate(_PUNCH_HOLE | _KEEP_SIZE)


@attempt("log: zeroing a range")
def _zero(_: Host) -> None:
    _fallocate(_ZERO_RANGE | _KEEP_SIZE)


# Refused too because there is nothing behind the end to collapse: whoever may is told so.
@attempt("log: collapsing a range", errno.EINVAL)
def _collapse(_: Host) -> None:
    _fallocate(_COLLAPSE_RANGE)


@attempt("log: opening it to write anywhere")
def _reopen(_: Host) -> None:
    _path()
    fd = os.open(f"/proc/self/fd/{_LOG}", os.O_WRONLY)
    os.pwrite(fd, b"", 0)


@attempt("log: opening it to write anywhere by process 1")
def _reopen_by_init(_: Host) -> None:
    _path()
    os.close(os.open(f"/proc/1/fd/{_LOG}", os.O_WRONLY))


@attempt("log: opening it to read and write")
def _reopen_both(_: Host) -> None:
    _path()
    os.close(os.open(f"/proc/self/fd/{_LOG}", os.O_RDWR))


@attempt("log: writing to the middle")
def _not_appending(_: Host) -> None:
    """By dropping O_APPEND, which is put back."""
    _path()
    flags = fcntl.fcntl(_LOG, fcntl.F_GETFL)
    fcntl.fcntl(_LOG, fcntl.F_SETFL, flags & ~os.O_APPEND)
    dropped = not fcntl.fcntl(_LOG, fcntl.F_GETFL) & os.O_APPEND
    fcntl.fcntl(_LOG, fcntl.F_SETFL, flags)
    if not dropped:
        raise PermissionError(errno.EPERM, "O_APPEND stayed")


@attempt("log: clearing its append-only attribute")
def _clear(_: Host) -> None:
    _path()
    buffer = bytearray(struct.calcsize("l"))
    fcntl.ioctl(_LOG, _FS_IOC_GETFLAGS, buffer)
    flags = int.from_bytes(buffer[:4], "little")
    if not flags & _FS_APPEND_FL:
        raise NothingToTry
    _set_flags(flags & ~_FS_APPEND_FL)
    _set_flags(flags)


@attempt("log: changing its mode")
def _chmod(_: Host) -> None:
    _path()
    os.fchmod(_LOG, stat.S_IMODE(os.fstat(_LOG).st_mode))


@attempt("log: replacing it")
def _replace(_: Host) -> None:
    """By the permission to write its directory: asked, not done."""
    path = _path()
    if not os.path.samestat(os.stat(path), os.fstat(_LOG)):
        raise FileNotFoundError(errno.ENOENT, "another file has its name here")
    if not os.access(os.path.dirname(path), os.W_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, "its directory can't be written")


def _path() -> str:
    """Return where the log lies, as far as can be seen from here."""
    if not stat.S_ISREG(os.fstat(_LOG).st_mode):
        raise NothingToTry
    return os.readlink(f"/proc/self/fd/{_LOG}")


def _size() -> int:
    _path()
    return os.fstat(_LOG).st_size


def _fallocate(mode: int) -> None:
    """Behind the end of the file, where nothing is lost."""
    _path()
    if _libc.fallocate(_LOG, mode, _FAR, _BLOCK) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _set_flags(flags: int) -> None:
    fcntl.ioctl(_LOG, _FS_IOC_SETFLAGS, flags.to_bytes(struct.calcsize("l"), "little"))
