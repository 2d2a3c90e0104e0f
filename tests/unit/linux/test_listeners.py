from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.linux import listeners


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_listener_is_found_by_its_port(family: socket.AddressFamily, host: str) -> None:
    """Another process that listens, over IPv4 or IPv6, is found with its pid and its command line."""
    try:
        socket.create_server((host, 0), family=family).close()
    except OSError as error:
        pytest.skip(f"{host} is not an address here: {error.strerror}")
    code = f"import socket, sys; s = socket.create_server(({host!r}, 0), family={int(family)}); "
    code += "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        found = listeners.find_listener(port)
        assert found is not None
        assert found.pid == other.pid
        assert "socket.create_server" in found.command
        with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
            listeners.try_to_listen(host, port)
        other.communicate()
    assert listeners.find_listener(port) is None
    listeners.try_to_listen(host, port)


def test_a_connection_is_no_listener() -> None:
    """The port of the connecting end belongs to nobody who listens."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connection,
    ):
        assert listeners.find_listener(connection.getsockname()[1]) is None


def test_an_open_file_is_seen_in_its_process(tmp_path: Path) -> None:
    """A file counts as open in a process exactly as long as it is."""
    path = tmp_path / "file"
    with path.open("w"):
        assert listeners.has_open(os.getpid(), path)
    assert not listeners.has_open(os.getpid(), path)
