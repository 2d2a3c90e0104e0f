"""Processes as /proc shows them, and pidfds that cannot be mistaken for another process.

A process id alone names nobody for long; a process is a pid and its start time, within one boot.
Sources: proc(5), pidfd_open(2).
"""

from __future__ import annotations

import errno
import functools
import os
import select

_STATE_FIELD = 3
_PPID_FIELD = 4
_FLAGS_FIELD = 9
_START_TIME_FIELD = 22
# Set by fork, cleared by exec; ps(1) shows it too. Source: include/linux/sched.h
_PF_FORKNOEXEC = 0x40
_NOT_A_PROCESS = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})


@functools.cache
def boot_id() -> str:
    """Return the id of this boot of the kernel, a UUID; raises OSError without /proc."""
    return _read("/proc/sys/kernel/random/boot_id").decode("ascii").strip()


def start_time(pid: int) -> int:
    """Return when the process started, in clock ticks since the boot.

    Raises ProcessLookupError if there is no such process.
    """
    return int(_stat(pid)[_START_TIME_FIELD - _STATE_FIELD])


def has_executed(pid: int, start_time: int) -> bool:
    """Return whether a process has executed a program since it was forked, also if it has ended and is not reaped.

    Raises ProcessLookupError if there is no such process.
    """
    fields = _stat(pid)
    if int(fields[_START_TIME_FIELD - _STATE_FIELD]) != start_time:
        raise ProcessLookupError(errno.ESRCH, f"process {pid}: {os.strerror(errno.ESRCH)}")
    return not int(fields[_FLAGS_FIELD - _STATE_FIELD]) & _PF_FORKNOEXEC


def open_process(pid: int, start_time: int) -> int | None:
    """Return a pidfd for the process with this pid and start time, or None if it is gone.

    The start time is compared after the pidfd was opened: from then on it names this process
    only, whatever becomes of the number. Raises OSError if no descriptor is left.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        # EINVAL and ENOENT: the number has become a thread of some other process.
        if error.errno in _NOT_A_PROCESS:
            return None
        raise
    except OverflowError:
        return None
    try:
        same = int(_stat(pid)[_START_TIME_FIELD - _STATE_FIELD]) == start_time
    except ProcessLookupError:
        same = False
    except BaseException:
        os.close(pidfd)
        raise
    if not same:
        os.close(pidfd)
        return None
    return pidfd


def has_ended(pidfd: int) -> bool:
    """Return whether the process has ended, reaped or not; a pidfd is readable then, pidfd_open(2)."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))


def is_alive(pid: int, start_time: int) -> bool:
    """Return whether the process with this pid and start time is there and has not ended."""
    pidfd = open_process(pid, start_time)
    if pidfd is None:
        return False
    try:
        return not has_ended(pidfd)
    finally:
        os.close(pidfd)


def children(pid: int) -> list[int]:
    """Return the pids of the children of a process with one thread, ended but unreaped ones included.

    Empty too where the kernel was built without CONFIG_PROC_CHILDREN, or the process is gone.
    """
    try:
        return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def family(pid: int) -> dict[int, int]:
    """Return the children of a process, their children and so on, with their start times in clock ticks.

    Ended but unreaped ones are included. One pass over /proc: processes that are forked meanwhile may be missing.
    """
    children: dict[int, list[int]] = {}
    starts: dict[int, int] = {}
    for member in _pids():
        try:
            fields = _stat(member)
        except ProcessLookupError:
            continue
        children.setdefault(int(fields[_PPID_FIELD - _STATE_FIELD]), []).append(member)
        starts[member] = int(fields[_START_TIME_FIELD - _STATE_FIELD])
    found: dict[int, int] = {}
    parents = [pid]
    while parents:
        for child in children.pop(parents.pop(), ()):
            found[child] = starts[child]
            parents.append(child)
    return found


def processes_with_environment(entry: bytes) -> list[tuple[int, int]]:
    """Return pid and start time (clock ticks) of each process that was executed with `entry`, b"NAME=value".

    Processes whose environment may not be read are left out, ended ones too.
    """
    found = []
    for pid in _pids():
        try:
            # First the start time: should the pid change hands in between, the pair fits nobody.
            started = start_time(pid)
            environment = _read(f"/proc/{pid}/environ")
        except OSError:
            continue
        if entry in environment.split(b"\0"):
            found.append((pid, started))
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the third on; the second may hold spaces and parentheses."""
    try:
        content = _read(f"/proc/{pid}/stat")
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, f"process {pid}: {os.strerror(errno.ESRCH)}") from None
    return content[content.rindex(b")") + 2 :].split()


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)
