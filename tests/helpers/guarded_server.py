"""A real server with the real gate, and small handlers behind it that say when they are reached.

Run as a program it is the server; a process of its own, because TLS must be prepared before
grpc is imported, and only once. `GuardedServer` starts one from a test.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from unittest import mock

from jsched.server import tls

# Calls that last, for one user.
MAX_STREAMS = 8


class GuardedServer:
    """The server as a test sees it: its port, the handlers reached, the lines of its audit.

    With `full` no line can be written, on a file system that sets nothing aside.
    """

    def __init__(self, certs_dir: Path, audit: Path, *, prepared: bool = True, full: bool = False) -> None:
        self._audit = audit
        self._log = audit.with_suffix(".log").open("w+") if audit.parent.is_dir() else None
        flags = [str(int(prepared)), str(int(full))]
        words = [sys.executable, "-m", "tests.helpers.guarded_server", str(certs_dir), str(audit), *flags]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        first = self._out.readline()
        if not first:
            raise RuntimeError(f"the server did not start: {self.log}")
        self.port = int(first)
        self.target = f"127.0.0.1:{self.port}"

    @property
    def _out(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def ask(self, command: str) -> str:
        """Send the server a command ("drain", "reached", "open", "probe") and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._out.readline().rstrip("\n")

    @property
    def reached(self) -> list[str]:
        """The handlers that were reached so far, by method name."""
        answer: list[str] = json.loads(self.ask("reached"))
        return answer

    @property
    def log(self) -> str:
        """What the server has written to stderr."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return self._log.read()

    @property
    def trail(self) -> list[dict[str, Any]]:
        """The lines of the audit, decoded; each must be one whole line of ASCII."""
        return [json.loads(line) for line in self._audit.read_bytes().decode("ascii").splitlines()]

    @property
    def audit(self) -> list[dict[str, Any]]:
        """The lines of calls that are over, one each."""
        return [line for line in self.trail if line["event"] in ("call", "end")]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(timeout=30)
        finally:
            self._process.kill()
        if self._log is not None:
            self._log.close()


def main(certs_dir: Path, audit_path: Path, prepared: bool, full: bool) -> None:
    """Serve until stdin ends."""
    logging.basicConfig(level=logging.INFO)
    if full:
        _fill()
    if prepared:
        tls.prepare(certs_dir)
    asyncio.run(_serve(certs_dir, audit_path))


def _fill() -> None:
    def set_aside(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    def write(*_: object) -> tuple[int, OSError]:
        return 0, OSError(errno.ENOSPC, "no space left")

    mock.patch("jsched.linux.space.set_aside", set_aside).start()
    mock.patch("jsched.audit.writer.Writer._write", write).start()


async def _serve(certs_dir: Path, audit_path: Path) -> None:
    import grpc
    from grpc_health.v1 import health_pb2_grpc
    from grpc_health.v1.health import aio as health
    from grpc_reflection.v1alpha import reflection

    from jsched.errors import JschedError
    from jsched.server import heap
    from jsched.server.audit import Audit
    from jsched.server.callers import Callers
    from jsched.server.credentials import current_credentials
    from jsched.server.interceptors import Gate
    from jsched.server.open_calls import keep_looking
    from jsched.server.policy_source import PolicySource
    from jsched.server.trust import read_trust
    from jsched.server.trust_watch import TrustWatch
    from tests.helpers.small_service import SmallService

    accepting = asyncio.Event()
    accepting.set()
    loop = asyncio.get_running_loop()
    async with Audit(audit_path) as audit:
        watch = TrustWatch(certs_dir, read_trust(certs_dir))
        callers = Callers(watch, await PolicySource.open("jsched"), max_streams=MAX_STREAMS, max_requests=16)
        watch.listeners.append(callers.look)
        looking = asyncio.ensure_future(keep_looking(callers.look))
        server = grpc.aio.server(interceptors=[Gate(audit, callers, accepting.is_set)])
        service = SmallService()
        for handler in service.handlers():
            server.add_generic_rpc_handlers((handler,))
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        reflection.enable_server_reflection(("jsched.v1.JobService",), server)
        credentials = current_credentials(lambda: watch.current, heap.connection_begins)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        print(port, flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            answer = "ok"
            if line == "drain\n":
                accepting.clear()
            elif line == "reached\n":
                answer = json.dumps(service.reached)
            elif line == "probe\n":
                try:
                    await asyncio.to_thread(tls.probe, "127.0.0.1", port)
                except JschedError as error:
                    answer = f"{type(error).__name__}: {error.message}"
            elif line == "open\n":
                answer = str(len(callers.calls))
            print(answer, flush=True)
        await server.stop(0)
        looking.cancel()
        watch.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), bool(int(sys.argv[3])), bool(int(sys.argv[4])))
