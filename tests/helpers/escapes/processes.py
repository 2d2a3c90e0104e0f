"""Attempts on other processes: those of the host, and the one that started the command."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct

from tests.helpers.escapes.attempt import Host, NothingToTry, attempt, opening, system_call

_PTRACE_SEIZE = 0x4206
_LOWEST = -1000


@attempt("process: seeing one of the host")
def _see(host: Host) -> None:
    os.stat(f"/proc/{_given(host)}")


@attempt("process: signalling one of the host")
def _signal(host: Host) -> None:
    os.kill(_given(host), 0)


@attempt("process: signalling all of the host", errno.ESRCH)
def _signal_all(_: Host) -> None:
    # Whoever sees the kernel's threads is in the namespace of the host.
    with open("/proc/2/comm", encoding="utf-8") as comm:
        if comm.read().strip() != "kthreadd":
            raise PermissionError(errno.EPERM, "none is in sight")


@attempt("process: tracing process 1")
def _trace(_: Host) -> object:
    # Seizing does not stop it, and ends with this child; ptrace(2).
    return system_call("ptrace", _PTRACE_SEIZE, 1, 0, 0)


@attempt("process: reading the memory of process 1", errno.EFAULT)
def _read_memory(_: Host) -> object:
    buffer = ctypes.create_string_buffer(8)
    local = struct.pack("=QQ", ctypes.addressof(buffer), 8)
    return system_call("process_vm_readv", 1, local, 1, struct.pack("=QQ", 0, 8), 1, 0)


@attempt("process: descriptors of process 1")
def _descriptors(_: Host) -> object:
    return os.listdir("/proc/1/fd")


@attempt("process: descriptors of the parent")
def _parents_descriptors(_: Host) -> object:
    # The grandparent: the parent is this very program.
    with open(f"/proc/{os.getppid()}/stat", encoding="utf-8") as fields:
        grandparent = int(fields.read().rpartition(")")[2].split()[1])
    if grandparent == 0:
        raise NothingToTry
    return os.listdir(f"/proc/{grandparent}/fd")


@attempt("process: becoming root")
def _setuid(_: Host) -> None:
    if os.getuid() == 0:
        raise NothingToTry
    os.setresuid(0, 0, 0)


@attempt("process: becoming another user")
def _setuid_other(_: Host) -> None:
    os.setresuid(12345, 12345, 12345)


@attempt("process: raising a hard limit")
def _raise_limit(_: Host) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard + 1))
    except ValueError as error:  # Python's word for EPERM
        raise PermissionError(errno.EPERM, str(error)) from None


@attempt("process: escaping the OOM killer")
def _oom(_: Host) -> None:
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(fd, str(_LOWEST).encode())


@attempt("process: a higher priority")
def _priority(_: Host) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, -20)


opening("process: memory of process 1", "/proc/1/mem", os.O_RDONLY)
opening("process: environment of process 1", "/proc/1/environ", os.O_RDONLY)


def _given(host: Host) -> int:
    if host.pid is None:
        raise NothingToTry
    return host.pid
