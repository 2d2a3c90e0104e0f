"""Connections on which nothing comes: they keep nobody out, and are closed."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jsched.client.connection import tls_context
from tests.helpers import calls, h2
from tests.helpers.bystander import Bystander
from tests.helpers.server import WITHOUT_WALLS, Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

HANDSHAKE_SECONDS = 5
MANY = 450
LIMITS = f"[wire]\nhandshake_timeout = {HANDSHAKE_SECONDS}\n"
# What a silent connection may cost the server, in bytes.
MOST_EACH = 64 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Server]:
    """A server that waits five seconds for a handshake."""
    with Server(tmp_path_factory.mktemp("silent") / "server", certs, config=WITHOUT_WALLS + LIMITS) as server:
        yield server


def descriptors(server: Server) -> int:
    """Return how many descriptors the server has open."""
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def memory(server: Server) -> int:
    """Return the server's resident memory in bytes; proc(5)."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def half_a_hello(server: Server) -> bytes:
    """Return the first half of a client's first TLS message."""
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        tls_context(calls.config(server)).wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    hello = outgoing.read()
    return hello[: len(hello) // 2]


def is_closed(connection: socket.socket) -> bool:
    """Read to the end, and return whether that came from the server in time."""
    connection.settimeout(calls.DEADLINE)
    try:
        while connection.recv(65536):
            continue
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_a_thousand_silent_connections(server: Server) -> None:
    """With 1,000 connections that say nothing, half a hello, or nothing after TLS, new clients are served.

    All are closed when the time for a handshake is over, and leave no descriptor behind; one that has
    sent its settings stays.
    """
    at_rest, small = descriptors(server), memory(server)
    hello = half_a_hello(server)
    with Bystander(server), h2.Connection(server) as idle, ExitStack() as stack:
        silent = [stack.enter_context(h2.silent(server)) for _ in range(2 * MANY)]
        for connection in silent[:MANY]:
            connection.sendall(hello)
        wait_until(lambda: descriptors(server) > at_rest + len(silent) * 0.9, what="the silent connections")
        assert memory(server) - small < len(silent) * MOST_EACH
        done = server.cli("list", text=True)
        assert (done.returncode, done.stderr) == (0, "")
        secure = [stack.enter_context(h2.secure(server)) for _ in range(1000 - len(silent))]
        assert all(is_closed(connection) for connection in (*silent, *secure))
        idle.send(h2.frame(h2.PING, payload=b"12345678"))
        idle.read_until(h2.PING)
    # The bystander's connection may take a moment to go.
    wait_until(lambda: descriptors(server) <= at_rest, what="the end of the silent connections")


def test_more_connections_than_there_may_be(tmp_path: Path, certs: Path) -> None:
    """Past max_connections new ones are closed at once, jobs keep their descriptors, and then clients get in again."""
    config = f"{WITHOUT_WALLS}[wire]\nhandshake_timeout = {HANDSHAKE_SECONDS}\nmax_connections = 30\n"
    with Server(tmp_path / "server", certs, config=config) as server, Bystander(server), ExitStack() as stack:
        at_rest = descriptors(server)
        silent = [stack.enter_context(h2.silent(server)) for _ in range(60)]
        assert all(is_closed(connection) for connection in silent[40:])
        # One of the thirty is the bystander's. One that is closed may take a moment to go, those that stay have more.
        wait_until(lambda: descriptors(server) < at_rest + 30, timeout=HANDSHAKE_SECONDS / 2, what="no more than 30")
        done = server.cli("run", "echo", "in", text=True)
        assert (done.returncode, done.stdout) == (0, "in\n")
