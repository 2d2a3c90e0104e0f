"""System calls that are given addresses and touch little memory: for a process that was just forked, see prepared.

Each raises prepared.Failed with the name of the step that it is made for.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from jsched.linux.call import call_number
from jsched.linux.namespaces import UNSHARE
from jsched.linux.prepared import call

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_MSG_CMSG_CLOEXEC = 0x40000000
_KERNEL_SIGSET_SIZE = 8


_READ = call_number(0, 63)
_WRITE = call_number(1, 64)
_CLOSE = call_number(3, 57)
_RECVMSG = call_number(47, 212)
_WAIT4 = call_number(61, 260)
_GETCWD = call_number(79, 17)
_CHDIR = call_number(80, 49)
_UMASK = call_number(95, 166)
_RT_SIGTIMEDWAIT = call_number(128, 137)
_EXIT_GROUP = call_number(231, 94)
_OPENAT = call_number(257, 56)
_NEWFSTATAT = call_number(262, 79)
_DUP3 = call_number(292, 24)
_CLOSE_RANGE = 436


def recvmsg(step: str, fd: int, message: int) -> int:
    """Receive into what a struct msghdr describes, descriptors close-on-exec; return how many bytes. recvmsg(2)."""
    return call(step, _RECVMSG, fd, message, _MSG_CMSG_CLOEXEC)


def read(step: str, fd: int, address: int, size: int) -> int:
    """Read at most `size` bytes and return how many they are, read(2)."""
    return call(step, _READ, fd, address, size)


def write(step: str, fd: int, address: int, size: int) -> int:
    """Write at most `size` bytes and return how many they are, write(2)."""
    return call(step, _WRITE, fd, address, size)


def close(step: str, fd: int) -> None:
    """Close a descriptor, close(2)."""
    call(step, _CLOSE, fd)


def close_range(step: str, first: int, last: int) -> None:
    """Close every descriptor from `first` to `last`, both included, close_range(2); an empty range is nothing."""
    if first <= last:
        call(step, _CLOSE_RANGE, first, last)


def chdir(step: str, path: int) -> None:
    """Enter a directory, chdir(2)."""
    call(step, _CHDIR, path)


def getcwd(step: str, address: int, size: int) -> None:
    """Write the path of the working directory to an address, getcwd(2)."""
    call(step, _GETCWD, address, size)


def unshare(step: str, namespaces: int) -> None:
    """Put this process into new namespaces, CLONE_NEW flags, unshare(2)."""
    call(step, UNSHARE, namespaces)


def umask(step: str, mask: int) -> None:
    """Set the file mode creation mask, umask(2)."""
    call(step, _UMASK, mask)


def open_file(step: str, path: int, flags: int) -> int:
    """Open a file and return a close-on-exec descriptor, openat(2)."""
    return call(step, _OPENAT, _AT_FDCWD, path, flags | os.O_CLOEXEC, 0)


def dup3(step: str, fd: int, target: int) -> None:
    """Have one descriptor, of a number of its own, be the same as another, dup3(2)."""
    call(step, _DUP3, fd, target, 0)


def lstat(step: str, path: int, address: int) -> None:
    """Write the state of what a path names to an address, fstatat(2)."""
    call(step, _NEWFSTATAT, _AT_FDCWD, path, address, _AT_SYMLINK_NOFOLLOW)


def sigwait(step: str, mask: int) -> int:
    """Wait for one of the signals whose bits are at an address, and return its number, sigwaitinfo(2)."""
    return call(step, _RT_SIGTIMEDWAIT, mask, 0, 0, _KERNEL_SIGSET_SIZE)


def wait_for_any(step: str, address: int) -> int:
    """Reap a child that has ended, write its status to an address and return its pid, 0 if none has ended. wait4(2)."""
    return call(step, _WAIT4, -1, address, os.WNOHANG, 0)


def exit_group(status: int) -> NoReturn:
    """End this process, exit_group(2)."""
    call("", _EXIT_GROUP, status)
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit(status)
