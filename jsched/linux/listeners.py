"""Who listens on a TCP port, as far as /proc tells this user."""

from __future__ import annotations

import contextlib
import os
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
