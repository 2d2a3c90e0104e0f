"""How the command comes to init: through a socket, laid out as execve(2) wants it, for the address where it will lie.

The monitor sends one message and closes the socket, with the first byte the descriptors: the log, and the `tasks`
files of the cgroups to enter. Monitor and init have the address in common, because the one is a fork of the other.

    size       of the whole
    workdir    the address of the working directory's path
    argv, env  the addresses of two tables of addresses, that a zero ends
    places     such a table: the files to look for, the first that there is is executed
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Sequence

from jsched.isolation.site import Command

# size, workdir, argv, env; the places follow.
HEADER = struct.Struct("@PPPP")
ADDRESS = struct.Struct("@P")
# More than execve(2) takes.
MAX_SIZE = 8 << 20
# There are fewer controllers in version 1.
MOST_DESCRIPTORS = 16
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def send(
    orders: socket.socket, command: Command, log: int, tasks: Sequence[int], *, address: int, seconds: float
) -> None:
    """Send the command and its descriptors, and close the socket; `address` is where it will lie.

    Raises OSError: EPIPE if init is gone, EINVAL or E2BIG for what can't be executed, and TimeoutError if init
    does not take something large in so many seconds.
    """
    with orders:
        content = memoryview(encode(command, address))
        orders.settimeout(seconds)
        sent = socket.send_fds(orders, [content], [log, *tasks])
        while sent < len(content):
            sent += orders.send(content[sent:])


def encode(command: Command, address: int) -> bytes:
    """Return the message for a command; raises OSError for one that can't be executed."""
    places = list(_places(command.argv[0], command.env.get("PATH", _DEFAULT_PATH)))
    env = [f"{name}={value}" for name, value in command.env.items()]
    strings = [os.fsencode(text) for text in (command.workdir, *places, *command.argv, *env)]
    if any(b"\0" in string for string in strings):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    tables = HEADER.size + ADDRESS.size * (len(places) + 1 + len(command.argv) + 1 + len(env) + 1)
    at = address + tables
    addresses = []
    for string in strings:
        addresses.append(at)
        at += len(string) + 1
    size = at - address
    if size > MAX_SIZE:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
    rest = iter(addresses[1:])
    found, argv, environment = ([*(next(rest) for _ in range(len(each))), 0] for each in (places, command.argv, env))
    argv_at = address + HEADER.size + ADDRESS.size * len(found)
    header = HEADER.pack(size, addresses[0], argv_at, argv_at + ADDRESS.size * len(argv))
    return header + _table((*found, *argv, *environment)) + b"\0".join((*strings, b""))


def _places(name: str, search_path: str) -> Iterable[str]:
    if "/" in name:
        return (name,)
    return (os.path.join(directory, name) for directory in search_path.split(":"))


def _table(addresses: Sequence[int]) -> bytes:
    return struct.pack(f"@{len(addresses)}P", *addresses)
