"""What the tests of output share: an open registry on a loop, and processes of their own that write."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from jsched.output.follower import Follower, open_follower
from jsched.output.logfile import LogFiles
from jsched.output.piece import Frame
from jsched.output.watcher import Watcher

DEADLINE = 30

_WRITER = """
import json, os, sys, time
for line in sys.stdin:
    path, delay, pieces = json.loads(line)
    deadline = time.perf_counter() + delay
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    while time.perf_counter() < deadline:
        pass
    for piece in pieces:
        os.write(fd, bytes.fromhex(piece))
    os.close(fd)
    print("done", flush=True)
"""


class Writer:
    """A process of its own that appends to files when it is told to."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _ends(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def tell(self, path: Path, pieces: list[bytes], delay: float = 0) -> None:
        """Have the pieces appended, one write each, after `delay` seconds, and don't wait for it."""
        orders, _ = self._ends()
        orders.write(json.dumps([str(path), delay, [piece.hex() for piece in pieces]]) + "\n")
        orders.flush()

    def wait(self) -> None:
        """Wait until what was told has been written."""
        assert self._ends()[1].readline() == "done\n"

    async def written(self) -> None:
        """Wait without holding up the loop."""
        await asyncio.to_thread(self.wait)

    def close(self) -> None:
        """End the process."""
        orders, answers = self._ends()
        orders.close()
        self._process.wait()
        answers.close()


class Rig:
    """A watcher and a registry on the running loop, and a way to follow with few words."""

    def __init__(self, frame: Frame | None) -> None:
        self.watcher = Watcher()
        self.logs = LogFiles(self.watcher, frame)

    async def follow(
        self, path: Path, offset: int = 0, *, ended: bool = False, follow: bool = True, chunk_size: int = 256 * 1024
    ) -> Follower:
        """Follow the log of the job that is called as the file."""
        return await open_follower(self.logs, path.name, path, ended, offset, follow, chunk_size)

    def kernel_watches(self) -> int:
        """Count the watches that the kernel has for the instance. Source: proc_pid_fdinfo(5)."""
        content = Path(f"/proc/self/fdinfo/{self.watcher.fileno()}").read_text()
        return content.count("inotify wd:")


@asynccontextmanager
async def rig(frame: Frame | None = None) -> AsyncIterator[Rig]:
    """Open a rig under the tests' deadline."""
    async with asyncio.timeout(DEADLINE):
        made = Rig(frame)
        made.watcher.open()
        try:
            yield made
        finally:
            made.watcher.close()


async def turns_until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until the condition holds; the rig's deadline ends it."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0)


async def drain(follower: Follower) -> bytes:
    """Read to the end, checking that the offsets have no gap."""
    pieces = []
    position = follower.offset
    async with follower:
        async for chunk in follower:
            assert chunk.offset == position
            assert chunk.data
            position = chunk.end
            pieces.append(chunk.data)
    assert follower.finished
    assert follower.offset == position
    return b"".join(pieces)


def descriptors(part: str) -> list[str]:
    """Return this process's open files whose names have `part` in them."""
    names = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    return [name for name in names if part in name]
