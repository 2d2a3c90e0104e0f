"""One launcher as the server sees it: its process and its socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import jsched
from jsched.linux import stderr
from jsched.supervisor import wire

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(jsched.__file__)))
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from jsched.supervisor.launcher import main; main(int(sys.argv[2]))"
)
# As this process was started with: the server raises its own limit, and jobs are not to inherit that.
_OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)
_READY_WITHIN = 20.0
_END_WITHIN = 5.0


class LauncherLink:
    """A launcher that runs, or ran; `on_death` is called once when it is gone."""

    def __init__(self, on_death: Callable[[LauncherLink], None]) -> None:
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it is there, as far as is known."""
        return self._socket is not None

    @property
    def pid(self) -> int | None:
        """The launcher's process id, while it runs."""
        return self._process.pid if self._process is not None and self.alive else None

    async def open(self) -> None:
        """Start the launcher and wait until it says that it is ready; raises OSError or TimeoutError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            try:
                self._process = await asyncio.to_thread(_spawn, theirs.fileno())
            except BaseException:
                ours.close()
                raise
        self._socket = ours
        self._loop.add_reader(ours, self._receive)
        try:
            async with asyncio.timeout(_READY_WITHIN):
                await asyncio.shield(self._ready)
        except BaseException:
            await self.close(at_once=True)
            raise

    def fork(self, link: socket.socket) -> None:
        """Have a monitor forked that gets `link`; if the launcher is gone before it does, the link just ends."""
        if self._socket is None:
            return
        try:
            socket.send_fds(self._socket, [wire.FORK], [link.fileno()])
        except ConnectionError:
            self._gone()

    async def close(self, *, at_once: bool = False) -> None:
        """Let the launcher end; the monitors go on."""
        if at_once and self._process is not None:
            self._process.kill()
        self._gone()
        await self.reap()

    async def reap(self) -> None:
        """Wait for the launcher's process, which is known to be ending."""
        if self._process is None:
            return
        try:
            await asyncio.to_thread(self._process.wait, _END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(len(wire.READY)) if self._socket is not None else b""
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._gone()
        elif not self._ready.done():
            self._ready.set_result(None)

    def _gone(self) -> None:
        if self._socket is None:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        if not self._ready.done():
            self._ready.set_exception(ConnectionResetError("it has ended before it was ready"))
            # Nobody may be waiting any more.
            self._ready.exception()
        self._on_death(self)


def _spawn(server: int) -> subprocess.Popen[bytes]:
    # No preexec_fn: with it, Python code would run between fork and exec of a threaded process.
    launcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, _ROOT, str(server)],
        stdin=stderr.unread(),
        stdout=subprocess.DEVNULL,
        stderr=stderr.descriptor(),
        pass_fds=(server,),
        start_new_session=True,
    )
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(launcher.pid, resource.RLIMIT_NOFILE, _OPEN_FILES)
    return launcher
