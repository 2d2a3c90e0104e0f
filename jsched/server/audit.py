"""The audit trail: one line of JSON for each RPC, in a file that is only ever appended to.

A call's answer leaves after its line has been written (write(2); not yet fsync(2), which
would cost more than the calls themselves). Lines are pure ASCII: control characters, line
breaks and marks that turn the direction of text are escaped, so one line stays one line.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from jsched.errors import FailedPrecondition, Internal, JschedError, ResourceExhausted

# Parts of a line are what callers send; a line must stay small whatever they send.
_MAX_FIELD = 256
_MAX_BATCH = 512

# json.dumps would make a new encoder for each line.
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode

_log = logging.getLogger("jsched.server")


@dataclass(slots=True)
class Entry:
    """What is known of one RPC; filled in while it runs.

    `time` is when it came in, in seconds since the epoch; `duration_ms` how long it took.
    `status` is the name of its gRPC status code; `reason` says why it was refused or failed.
    """

    method: str
    peer: str
    time: float
    user: str = ""
    role: str = ""
    serial: str = ""
    job: str = ""
    rootfs: str = ""
    decision: str = "deny"
    rule: str = ""
    status: str = ""
    reason: str = ""
    duration_ms: float = 0.0

    def line(self) -> bytes:
        """Return the entry as one line of ASCII JSON, its line break included."""
        whole, fraction = divmod(int(self.time * 1000), 1000)
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{fraction:03}Z",
            "user": self.user,
            "role": self.role,
            "serial": self.serial,
            "peer": self.peer,
            "method": self.method,
            "job": self.job,
            "rootfs": self.rootfs,
            "decision": self.decision,
            "rule": self.rule,
            "status": self.status,
            "reason": self.reason,
            "duration_ms": round(self.duration_ms, 3),
        }
        for name, value in fields.items():
            if isinstance(value, str) and len(value) > _MAX_FIELD:
                fields[name] = value[: _MAX_FIELD - 3] + "..."
        return _encode(fields).encode("ascii") + b"\n"


class Audit:
    """The audit trail in one file, written by one thread, many waiting lines at once.

    Raises FailedPrecondition if the file can't be opened. Use it as an async context manager
    or call `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor, self._torn = _open(path)
        self._failure: OSError | None = None
        self._waiting: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = queue.SimpleQueue()
        # Held while something is put into the queue, so that nothing comes after the end.
        self._putting = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> bool:
        """Whether the last line could not be written; then nothing may be done that needs a line."""
        return self._failure is not None

    def error(self) -> JschedError:
        """Return what those are told whose lines can't be written: ResourceExhausted on a full disk, else Internal."""
        full = self._failure is not None and self._failure.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = ResourceExhausted if full else Internal
        return kind("the audit trail can't be written", hint="the server's log says more")

    async def write(self, entry: Entry) -> None:
        """Return when the entry's line is in the file; raise error() if it can't be written."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = entry.line()
        with self._putting:
            if self._closed:
                raise Internal("the audit trail is closed", obj=str(self.path))
            self._waiting.put((line, done))
        await done

    def close(self) -> None:
        """Write what waits, end the thread and close the file; a second call does nothing."""
        with self._putting:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
        self._thread.join()
        os.close(self._descriptor)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def _run(self) -> None:
        more = True
        while more:
            batch = []
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
                self._write(batch)

    def _write(self, batch: list[tuple[bytes, asyncio.Future[None]]]) -> None:
        """Write a batch of lines and tell those who wait; a line counts if all of it was written."""
        # Where an earlier write was cut off in the middle of a line, the next begins a new one.
        start = b"\n" if self._torn else b""
        data = memoryview(start + b"".join(line for line, _ in batch))
        written = 0
        failure: OSError | None = None
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            failure = error
        if written:
            self._torn = data[written - 1] != ord("\n")
        self._note(failure)
        outcomes = []
        end = len(start)
        for line, done in batch:
            end += len(line)
            outcomes.append((done, end <= written))
        loop = batch[0][1].get_loop()
        try:
            loop.call_soon_threadsafe(self._tell, outcomes)
        except RuntimeError:
            # The loop is closed: nobody waits any more, and the lines are in the file.
            _log.debug("%d audit lines were written after the event loop's end", len(batch))

    def _note(self, failure: OSError | None) -> None:
        if failure is not None and self._failure is None:
            _log.error("the audit trail %s can't be written: %s; calls are refused", self.path, failure.strerror)
        elif failure is None and self._failure is not None:
            _log.warning("the audit trail %s is written again", self.path)
        self._failure = failure

    def _tell(self, outcomes: list[tuple[asyncio.Future[None], bool]]) -> None:
        for done, written in outcomes:
            if done.done():
                continue
            if written:
                done.set_result(None)
            else:
                done.set_exception(self.error())


def _open(path: Path) -> tuple[int, bool]:
    """Return a descriptor for appending, and whether the file's last line was cut off."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FailedPrecondition(f"the audit trail {path} can't be opened: {error.strerror}", obj=str(path)) from None
    size = os.fstat(descriptor).st_size
    return descriptor, size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
