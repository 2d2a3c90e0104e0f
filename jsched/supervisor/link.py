"""One launcher as the server sees it: its process, its two sockets, and the launches it was sent."""

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
from dataclasses import dataclass

import jsched
from jsched.supervisor import wire
from jsched.supervisor.wire import LaunchRequest, Report

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(jsched.__file__)))
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from jsched.supervisor.launcher import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
# As this process was started with: the server raises its own limit, and jobs are not to inherit that.
_OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)
_READY_WITHIN = 20.0
_END_WITHIN = 5.0


@dataclass(eq=False, slots=True)
class Launch:
    """A launch under way: its request, its answer to be, and how many launchers it was sent to."""

    request: LaunchRequest
    answer: asyncio.Future[Report]
    sent: int = 0


class Link(asyncio.Protocol):
    """A launcher that runs, or ran.

    `on_death` is called once when the launcher is gone; `on_end` after that, once no monitor of
    its will report any more, with the launches that nobody has begun.
    """

    def __init__(self, on_death: Callable[[Link], None], on_end: Callable[[Link, list[Launch]], None]) -> None:
        self._on_death = on_death
        self._on_end = on_end
        self._launches: dict[str, Launch] = {}
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._requests: asyncio.Transport | None = None
        self._reports: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.alive = False
        self.has_reported = False

    @property
    def pid(self) -> int | None:
        """The launcher's process id, while it runs."""
        return self._process.pid if self._process is not None and self.alive else None

    async def open(self) -> None:
        """Start the launcher and wait until it says that it is ready; raises OSError or TimeoutError."""
        requests, launcher_requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reports, launcher_reports = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with launcher_requests, launcher_reports:
            requests.setblocking(False)
            reports.setblocking(False)
            # For the monitors, which must not stand still because the server does.
            launcher_reports.setblocking(False)
            try:
                self._process = await asyncio.to_thread(_spawn, launcher_requests.fileno(), launcher_reports.fileno())
            except BaseException:
                requests.close()
                reports.close()
                raise
        self._reports = reports
        self._loop.add_reader(reports, self._receive)
        self.alive = True
        try:
            self._requests, _ = await self._loop.create_unix_connection(lambda: self, sock=requests)
            async with asyncio.timeout(_READY_WITHIN):
                await asyncio.shield(self._ready)
        except BaseException:
            await self.close(at_once=True)
            raise

    def send(self, launch: Launch) -> None:
        """Send a launch; its answer is set when the report comes."""
        if self._requests is None:
            raise OSError("the launcher is not open")
        launch.sent += 1
        self._launches[launch.request.job_id] = launch
        self._requests.write(wire.encode_request(launch.request))

    async def close(self, *, at_once: bool = False) -> None:
        """Let the launcher finish what it was sent, and end; the monitors go on."""
        if self._requests is not None:
            self._requests.close()
        if self._process is not None:
            if at_once:
                self._process.kill()
            await self.reap()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_WITHIN):
                await asyncio.shield(self._ended)
        # What became of these, the files will tell: they are not known to have failed.
        for launch in self._launches.values():
            launch.answer.cancel()
        self._launches.clear()
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the launcher is gone."""
        self._die()

    def _receive(self) -> None:
        while self._reports is not None:
            try:
                data = self._reports.recv(wire.MAX_REPORT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._end()
                return
            self._take(wire.decode_report(data))

    def _take(self, report: Report) -> None:
        if report == wire.READY:
            if not self._ready.done():
                self._ready.set_result(None)
            return
        self.has_reported = True
        # A second report is of a monitor that was killed after its first.
        launch = self._launches.pop(report.job_id, None)
        if launch is not None and not launch.answer.done():
            launch.answer.set_result(report)

    def _die(self) -> None:
        if self.alive:
            self.alive = False
            self._on_death(self)

    def _end(self) -> None:
        if self._reports is None:
            return
        self._loop.remove_reader(self._reports)
        self._reports.close()
        self._reports = None
        if not self._ready.done():
            self._ready.set_exception(ConnectionResetError("the launcher has ended before it was ready"))
            # Nobody may be waiting any more.
            self._ready.exception()
        self._die()
        if self._requests is not None:
            self._requests.abort()
        if not self._ended.done():
            self._ended.set_result(None)
        left = list(self._launches.values())
        self._launches.clear()
        self._on_end(self, left)

    async def reap(self) -> None:
        """Wait for the launcher's process, which is known to be ending."""
        if self._process is None:
            return
        try:
            await asyncio.to_thread(self._process.wait, _END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)


def _spawn(requests: int, reports: int) -> subprocess.Popen[bytes]:
    # No preexec_fn: with it, Python code would run between fork and exec of a threaded process.
    launcher = subprocess.Popen(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, _ROOT, str(requests), str(reports)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(requests, reports),
        start_new_session=True,
    )
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(launcher.pid, resource.RLIMIT_NOFILE, _OPEN_FILES)
    return launcher
