"""System calls that Python 3.11 has no function for.

Each wrapper has its call's name, and raises OSError naming the call. They know no jobs.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

LAST_DESCRIPTOR = 0xFFFFFFFF

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_SYS_CLOSE_RANGE = 436
# The generic number, and those of architectures that have their own; syscall(2).
_SYS_RT_SIGACTION = {"x86_64": 13}.get(os.uname().machine, 134)
_KERNEL_SIGSET_SIZE = 8
_SIG_SETMASK = 2
_SIGSET_SIZE = 128
_SIGNALFD_SIGINFO = struct.Struct("=I124x")

_libc = ctypes.CDLL(None, use_errno=True)

_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_prctl.restype = ctypes.c_int

_prctl_text = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, use_errno=True
)(("prctl", _libc))

# Through syscall(2), because the C library has close_range() only since glibc 2.34. The number
# is the same on every architecture.
_syscall_close_range = _libc.syscall
_syscall_close_range.argtypes = (ctypes.c_long, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)
_syscall_close_range.restype = ctypes.c_long

# sigaction() refuses the signals that the C library keeps for itself.
_syscall_rt_sigaction = _libc["syscall"]
_syscall_rt_sigaction.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
_syscall_rt_sigaction.restype = ctypes.c_long

_syncfs = _libc.syncfs
_syncfs.argtypes = (ctypes.c_int,)
_syncfs.restype = ctypes.c_int

_signalfd = _libc.signalfd
_signalfd.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
_signalfd.restype = ctypes.c_int

_sigaddset = _libc.sigaddset
_sigaddset.argtypes = (ctypes.c_char_p, ctypes.c_int)
_sigaddset.restype = ctypes.c_int

_sigfillset = _libc.sigfillset
_sigfillset.argtypes = (ctypes.c_char_p,)
_sigfillset.restype = ctypes.c_int

_sigprocmask = _libc.sigprocmask
_sigprocmask.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)
_sigprocmask.restype = ctypes.c_int


def prctl_set_child_subreaper() -> None:
    """Make orphaned descendants children of this process, prctl(2) PR_SET_CHILD_SUBREAPER."""
    _check("prctl(PR_SET_CHILD_SUBREAPER)", _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def prctl_set_pdeathsig(sig: int) -> None:
    """Have `sig` sent to this process when the thread that forked it ends, prctl(2) PR_SET_PDEATHSIG.

    The parent may have ended before the call: look at getppid() afterwards.
    """
    _check("prctl(PR_SET_PDEATHSIG)", _prctl(_PR_SET_PDEATHSIG, sig, 0, 0, 0))


def prctl_set_name(name: str) -> None:
    """Set the name that ps and top show, cut at 15 bytes, prctl(2) PR_SET_NAME."""
    _check("prctl(PR_SET_NAME)", _prctl_text(_PR_SET_NAME, name.encode(), 0, 0, 0))


def close_range(first: int, last: int) -> None:
    """Close every descriptor from `first` to `last`, both included, close_range(2); an empty range is nothing."""
    if first <= last:
        _check("close_range", _syscall_close_range(_SYS_CLOSE_RANGE, first, last, 0))


def syncfs(fd: int) -> None:
    """Write the file system of this descriptor to its disk, syncfs(2); raises OSError if that failed for any file."""
    _check("syncfs", _syncfs(fd))


def rt_sigaction_default(sig: int) -> None:
    """Give a signal its default action, also one that the C library keeps for itself, rt_sigaction(2)."""
    # No handler, flags, restorer or mask: all zero, in whichever order the architecture has them.
    action = bytes(4 * ctypes.sizeof(ctypes.c_long))
    _check("rt_sigaction", _syscall_rt_sigaction(_SYS_RT_SIGACTION, sig, action, None, _KERNEL_SIGSET_SIZE))


def block_all_signals() -> None:
    """Block every signal that can be blocked, sigprocmask(2)."""
    # signal.pthread_sigmask() makes enums of the old mask's members, 0.3 ms for a full one.
    mask = ctypes.create_string_buffer(_SIGSET_SIZE)
    _check("sigfillset", _sigfillset(mask))
    _check("sigprocmask", _sigprocmask(_SIG_SETMASK, mask, None))


def signalfd(signals: Iterable[int]) -> int:
    """Return a close-on-exec, non-blocking descriptor that `signals` are read from, signalfd(2).

    They have to be blocked, or they are delivered in the ordinary way.
    """
    mask = ctypes.create_string_buffer(_SIGSET_SIZE)
    for number in signals:
        _check("sigaddset", _sigaddset(mask, number))
    return _check("signalfd", _signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK))


def read_signalfd(fd: int) -> list[int]:
    """Return the numbers of the signals that are pending on a signalfd(), perhaps none."""
    try:
        data = os.read(fd, 64 * _SIGNALFD_SIGINFO.size)
    except BlockingIOError:
        return []
    return [number for (number,) in _SIGNALFD_SIGINFO.iter_unpack(data)]


def _check(call: str, result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result
