"""How the command comes to an init that was forked ahead of it.

The monitor sends one message through a stream socket and closes it: the command as JSON, and with the first
byte the descriptors: the log, and the `tasks` files of the cgroups to enter.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Sequence
from typing import NoReturn

from jsched.isolation.site import CLOSED, Command, Site

_READ_SIZE = 65536
# There are fewer controllers in version 1.
_MOST_DESCRIPTORS = 16


def send(orders: socket.socket, command: Command, log: int, tasks: Sequence[int]) -> None:
    """Send the command and its descriptors, and close the socket. Raises OSError, EPIPE if init is gone."""
    with orders:
        content = memoryview(json.dumps(command).encode())
        sent = socket.send_fds(orders, [content], [log, *tasks])
        orders.sendall(content[sent:])


def receive(site: Site) -> None:
    """Wait for the command; an init whose monitor does without it ends here."""
    orders = socket.socket(fileno=site.orders)
    site.orders = CLOSED
    with orders:
        content, descriptors, _, _ = socket.recv_fds(orders, _READ_SIZE, _MOST_DESCRIPTORS)
        while content and (more := orders.recv(_READ_SIZE)):
            content += more
    if not content:
        _leave()
    if not descriptors:
        raise OSError(errno.EPROTO, "no log has come")
    argv, env, workdir = json.loads(content)
    site.command = Command(tuple(argv), env, workdir)
    site.log, *tasks = descriptors
    site.tasks = tuple(tasks)


def _leave() -> NoReturn:
    os._exit(0)
