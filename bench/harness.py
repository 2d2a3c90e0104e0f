"""What the measurements share: servers and load processes that are gone when a measurement is over."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from tests.helpers.server import BIN, WITHOUT_WALLS, Server

_ANSWER_SECONDS = 120.0
_END_SECONDS = 10.0
_ROOT = Path(__file__).parent.parent


class Broken(Exception):
    """A measurement could not be made."""


class Bench:
    """The temporary directory, the certificates, and everything that is started."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self._opened = contextlib.ExitStack()
        self._count = 0

    def __enter__(self) -> Self:
        self.root = Path(self._opened.enter_context(tempfile.TemporaryDirectory(prefix="jsched-bench-")))
        self.certs = self.root / "certs"
        subprocess.run([BIN / "jsched", "certs", "dev", self.certs], check=True, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def path(self, name: str) -> Path:
        """Return a path that nothing has had before."""
        self._count += 1
        return self.root / f"{self._count}-{name}"

    @contextlib.contextmanager
    def server(self, config: str = WITHOUT_WALLS) -> Iterator[Server]:
        """A fresh server of its own, gone afterwards with its jobs; its jobs have limits, but no walls."""
        server = Server(self.path("server"), self.certs, config=config)
        with _uninterrupted(server.close):
            server.start()
            yield server

    @contextlib.contextmanager
    def load(self, module: str, **task: Any) -> Iterator[Load]:
        """A process of its own that runs `bench.<module>.load(task, parent)`."""
        load = Load(f"bench.{module}", {"certs": os.fspath(self.certs), **task}, self.path("load.err"))
        with _uninterrupted(load.close):
            yield load


class Load:
    """A load process, as the benchmark sees it."""

    def __init__(self, module: str, task: dict[str, Any], errors: Path) -> None:
        self._errors = errors
        self._rest = b""
        with errors.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.load", module, json.dumps(task)],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, value: Any = None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")
        self._process.stdin.flush()

    def receive(self, timeout: float = _ANSWER_SECONDS) -> Any:
        """Return the next thing that it says; raises Broken with its stderr if there is none in time."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            data = os.read(fd, 65536) if select.select([fd], [], [], timeout)[0] else b""
            if not data:
                raise Broken(f"a load process said nothing: {self._errors.read_text()[-2000:]}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def close(self) -> None:
        # Its own children have its process group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def _uninterrupted(close: Any) -> Iterator[None]:
    """Call `close` in the end, and let no second Ctrl-C get in between."""
    try:
        yield
    finally:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            close()
        finally:
            signal.signal(signal.SIGINT, before)
