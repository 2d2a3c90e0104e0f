"""The way of lines to the thread that writes them, many at once, and of what became of them back to the event loop."""

from __future__ import annotations

import asyncio
import errno
import logging
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from jsched.audit.recorder import Outcome, Recorder
from jsched.errors import Internal
from jsched.server.audit_room import Hold

_MAX_BATCH = 512
_log = logging.getLogger("jsched.server")


class Waiting(NamedTuple):
    """A line on its way, the room that is held for it, and who waits; without a body it is for room alone."""

    body: bytes | None
    hold: Hold | None
    done: asyncio.Future[int]


Tell = Callable[[list[Waiting], Outcome], None]


class Lines:
    """A queue and the thread behind it, used on the running event loop.

    `wanted()` is how much room there should be after each batch; `tell` is called on the loop
    with each batch and what became of it, in order.
    """

    def __init__(self, recorder: Recorder, wanted: Callable[[], int], tell: Tell) -> None:
        self._recorder = recorder
        self._wanted = wanted
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        # Held while something is put into the queue, so that nothing comes after the end.
        self._putting = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def put(self, body: bytes | None, hold: Hold | None) -> asyncio.Future[int]:
        """Send a line on its way; `tell` resolves the future. Raises Internal after close()."""
        done: asyncio.Future[int] = self._loop.create_future()
        with self._putting:
            if self._closed:
                raise Internal("the audit trail is closed")
            self._waiting.put(Waiting(body, hold, done))
        return done

    def close(self) -> None:
        """Write what waits, and end the thread."""
        with self._putting:
            self._closed = True
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        more = True
        while more:
            batch: list[Waiting] = []
            item = self._waiting.get()
            while item is not None:
                batch.append(item)
                if len(batch) == _MAX_BATCH:
                    break
                try:
                    item = self._waiting.get_nowait()
                except queue.Empty:
                    break
            else:
                more = False
            if batch:
                self._work(batch)

    def _work(self, batch: list[Waiting]) -> None:
        """Write a batch of lines and tell those who wait; a line counts if all of it was written."""
        bodies = [item.body for item in batch if item.body is not None]
        try:
            outcome = self._recorder.record(bodies, self._wanted())
            if len(bodies) < len(batch):
                grown = self._recorder.set_aside(self._wanted())
                outcome = outcome._replace(ahead=grown.ahead, shortage=grown.shortage)
        except Exception as error:  # noqa: BLE001 - a defect; logged with its traceback
            # Without this thread every call would wait for ever.
            _log.exception("a defect: %d audit lines are lost", len(bodies))
            outcome = Outcome([], 0, OSError(errno.EIO, str(error)), None)
        try:
            self._loop.call_soon_threadsafe(self._tell, batch, outcome)
        except RuntimeError:
            # The loop is closed: nobody waits any more, and the lines are in the file.
            _log.debug("%d audit lines were written after the event loop's end", len(bodies))
