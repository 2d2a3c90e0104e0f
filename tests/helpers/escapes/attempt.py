"""The list of attempts, and the making of each in a child of its own."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import stat
import traceback
from collections.abc import Callable
from typing import NamedTuple, NoReturn

SUCCEEDED = "succeeded"
_SECONDS = 20
_LONGEST = 200
_NULL = os.makedev(1, 3)
_libc = ctypes.CDLL(None, use_errno=True)
# The numbers of x86_64, and of the architectures with the generic table; syscall(2).
_NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clone3": (435, 435),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "io_setup": (206, 0),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "reboot": (169, 142),
    "setns": (308, 268),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}


class Host(NamedTuple):
    """Things of the host's that a sandbox should not reach; None for what the caller has not given.

    A process id, a file, an IP address with a port that is listened on, and the path of a Unix
    socket (with a leading @: an abstract one) that is listened on.
    """

    pid: int | None = None
    file: str | None = None
    address: tuple[str, int] | None = None
    socket: str | None = None


NOTHING = Host()


class Attempt(NamedTuple):
    """What is tried, and the errnos with which the kernel says that it would have been allowed."""

    name: str
    run: Callable[[Host], object]
    granted: tuple[int, ...]


class NothingToTry(Exception):
    """What the attempt is about is not there."""


ATTEMPTS: list[Attempt] = []


def attempt(name: str, *granted: int) -> Callable[[Callable[[Host], object]], Callable[[Host], object]]:
    """Put a function into the list of attempts; it raises OSError if it is refused."""

    def add(run: Callable[[Host], object]) -> Callable[[Host], object]:
        ATTEMPTS.append(Attempt(name, run, granted))
        return run

    return add


def opening(name: str, path: str, flags: int = os.O_WRONLY) -> None:
    """Put the opening of a file into the list; an empty directory or null(4) in its place is ENOENT."""

    def run(_: Host) -> None:
        try:
            fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            # A running program: it is looked at before the mount's being read-only is.
            if error.errno != errno.ETXTBSY or not os.access(path, os.W_OK, effective_ids=True):
                raise
        else:
            if _is_covered(fd):
                raise FileNotFoundError(errno.ENOENT, "something empty is in its place")

    attempt(name)(run)


def outcome(one: Attempt, host: Host) -> str | None:
    """Make an attempt in a child, and return "succeeded", the errno's or the signal's name, or None."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _in_child(one, host, writer)
    os.close(writer)
    said = b""
    # A grandchild may hold the pipe; the first words are all there are.
    while not said and (data := os.read(reader, _LONGEST)):
        said += data
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return said.decode() or None


def system_call(name: str, *args: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call by its number; raises OSError."""
    number = _NUMBERS[name][0 if os.uname().machine == "x86_64" else 1]
    wide = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return _check(_libc.syscall(ctypes.c_long(number), *wide))


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Mount a file system, mount(2); raises OSError."""
    _check(_libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()))


def umount(target: str, flags: int = 0) -> None:
    """Unmount a file system, umount2(2); raises OSError."""
    _check(_libc.umount2(target.encode(), flags))


def _is_covered(fd: int) -> bool:
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        return not os.listdir(fd)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL


def _check(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _in_child(one: Attempt, host: Host, writer: int) -> NoReturn:
    signal.alarm(_SECONDS)
    try:
        one.run(host)
        said = SUCCEEDED
    except NothingToTry:
        said = ""
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error))
        said = SUCCEEDED if error.errno in one.granted else name
    except BaseException:  # noqa: BLE001 - a mistake here must not look like a refusal
        said = f"broken: {traceback.format_exc()[-_LONGEST // 2 :]}"
    os.write(writer, said.encode())
    os._exit(0)
