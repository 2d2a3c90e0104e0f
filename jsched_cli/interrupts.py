"""Ctrl-C while a job runs: the first stops it, the second kills it, the third leaves it alone."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from jsched.errors import JschedError
from jsched_cli.output import say

if TYPE_CHECKING:
    from jsched.client import Client

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE: tuple[float | None, ...] = (None, 0)
_MESSAGES = ("stopping; press Ctrl-C again to kill it", "killing; press Ctrl-C again to leave it")


class Interrupts:
    """Takes SIGINT, SIGTERM and SIGHUP, and stops the job, while the main thread goes on reading its output."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._job_id: str | None = None
        self._count = 0
        self._refused = False
        self._left = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # What is ignored (nohup, a shell's background job) stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left = True
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def started(self, job_id: str) -> None:
        """Say which job there is to stop; it is stopped now if that was asked for before."""
        self._job_id = job_id
        for earlier in range(self._count):
            self._in_background(earlier)

    def _stop(self, grace: float | None) -> None:
        if self._job_id is None:
            return
        try:
            self._client.stop(self._job_id, grace)
        except JschedError as error:
            # Whoever has left does so with the client closed, and with the last word said.
            if self._left:
                return
            self._refused = True
            say(f"can't stop the job: {error}; press Ctrl-C again to leave it")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._count += 1
        if self._refused or self._count > len(_MESSAGES):
            raise KeyboardInterrupt
        # Until the start has been answered there is no job to stop, but there may be one soon:
        # leaving now could leave it behind, unknown.
        if self._job_id is None:
            if self._count > 1:
                raise KeyboardInterrupt
            _background(lambda: say("starting; the job is stopped as soon as it has; press Ctrl-C again to leave it"))
            return
        self._in_background(self._count - 1)

    def _in_background(self, attempt: int) -> None:
        """Stop from a thread: a handler must not wait, nor write where the main thread may be writing."""

        def work() -> None:
            say(_MESSAGES[attempt])
            self._stop(_GRACE[attempt])

        _background(work)


def _background(work: Any) -> None:
    threading.Thread(target=work, daemon=True).start()
