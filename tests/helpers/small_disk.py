"""A file system that is soon full."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.server import Server


@contextmanager
def server_on_a_small_disk(root: Path, certs: Path, size: int) -> Iterator[Server]:
    """A server that is not started, with its data on a file system of `size` bytes; it has room again when it ends."""
    server = Server(root, certs)
    root.mkdir()
    with small_disk(server.data_dir, size) as disk:
        try:
            yield server
        finally:
            empty(disk)
            server.close()


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[Path]:
    """Mount a tmpfs of `size` bytes at `path` and take it away again; skips the test where that is not allowed."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "jsched-test", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(directory: Path) -> None:
    """Leave no byte on the file system, with a file of the name `fill`."""
    with (directory / "fill").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def empty(directory: Path) -> None:
    """Give back what `fill` has taken."""
    (directory / "fill").unlink(missing_ok=True)
