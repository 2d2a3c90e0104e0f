"""TCP ports: whether one is free, and who listens on it as far as /proc tells this user."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

# The state of a listening socket in /proc/net/tcp, proc_pid_net(5); the numbers are those of
# the kernel's include/net/tcp_states.h.
_LISTEN = "0A"
_STATE, _INODE = 3, 9


class Listener(NamedTuple):
    """A process that listens: its id, and its command line as one text."""

    pid: int
    command: str


def find_listener(port: int) -> Listener | None:
    """Return a process that listens on a port of any address of this host.

    None if nobody does, or if it is a process that this user may not look into.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    if not sockets:
        return None
    for pid in _pids():
        if sockets.intersection(_files(pid)):
            return Listener(pid, command_line(pid))
    return None


def try_to_listen(host: str, port: int) -> None:
    """Listen on an address for a moment; raises OSError (EADDRINUSE, EADDRNOTAVAIL, EACCES) if that can't be done."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections that have ended but linger (TIME_WAIT) are no reason not to listen.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)


def has_open(pid: int, path: str | os.PathLike[str]) -> bool:
    """Return whether a process has this file open; False if this user may not look into it."""
    return os.path.realpath(path) in _files(pid)


def command_line(pid: int) -> str:
    """Return a process's arguments joined by spaces, "" if it is gone or has none."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _listening(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(table, encoding="ascii") as lines:
            for fields in (line.split() for line in lines):
                if fields[_STATE] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[_INODE]


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _files(pid: int) -> Iterator[str]:
    directory = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            with contextlib.suppress(OSError):
                yield os.readlink(f"{directory}/{name}")
