"""Handshakes that were refused, as far as they can be seen.

gRPC has no hook for them. What it has is a trace of handshakes (GRPC_TRACE=handshaker), which its
C core writes to descriptor 2: for one that has failed a record with the reason and the peer.
So descriptor 2 is led through a pipe; its reader makes events of these records, throws the rest
of the trace away and passes on everything else.

This module must not import grpc before `prepare` has been called.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote

from jsched.linux import stderr

Tell = Callable[..., None]
_log = logging.getLogger("jsched.server")
_VARIABLES = {"GRPC_VERBOSITY": "INFO", "GRPC_TRACE": "handshaker"}
# A record begins as those of absl's log do: severity, date, time, thread, place.
_HEAD = re.compile(rb"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w./-]+):\d+\] ")
_FAILED = re.compile(rb"CallNextHandshakerLocked: error=(?!OK )(.*)", re.DOTALL)
_PEER = re.compile(rb"grpc\.internal\.endpoint_peer_address=([^,}\s]{1,200})")
_CONTINUED = (b"=== Source Location Trace", b"src/core/", b" shutdown=", b"\n")
# The client has gone by itself: somebody looks whether the port is open.
_GONE = b"Handshake read failed (Socket closed)"
_READ_SIZE = 1 << 14
_MOST_PENDING = 1 << 14
# So many have a line of their own each minute, and one line counts the rest: strangers must not fill the disk.
_PER_MINUTE = 60
_MINUTE = 60.0


def prepare() -> Handshakes | None:
    """Make the grpc that is imported afterwards say which handshakes it refuses.

    Returns None, and changes nothing, where there is no stderr, or gRPC's own variables are set by
    somebody who wants to see its messages.
    """
    if any(name in os.environ for name in _VARIABLES):
        return None
    try:
        reader = stderr.divert()
    except OSError:
        return None
    os.environ |= _VARIABLES
    return Handshakes(reader)


class Handshakes:
    """A thread that reads what the C core writes, and tells of refused handshakes."""

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._tell: Tell | None = None
        self._records = Records(self._refused, self._pass_on)
        self._minute = Minute()
        threading.Thread(target=self._run, name="handshakes", daemon=True).start()

    def begin(self, tell: Tell) -> None:
        """Have `tell(kind, **fields)` called, from another thread, for each refused handshake from now on."""
        self._tell = tell

    def end(self) -> None:
        """Tell how many got no line of their own, and have nothing told any more."""
        if count := self._minute.rest():
            self._say("handshakes_refused", count=count)
        self._tell = None

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        while True:
            if poll.poll(1000 if self._minute.left_out else None):
                data = os.read(self._reader, _READ_SIZE)
                if not data:
                    return
                self._take(data)
            if count := self._minute.over():
                self._say("handshakes_refused", count=count)

    def _take(self, data: bytes) -> None:
        try:
            self._records.take(data)
        except Exception:  # noqa: BLE001 - a defect; logged with its traceback
            # Without a reader the C core's errors would be lost.
            _log.exception("a defect: messages of gRPC are lost")

    def _refused(self, peer: str, reason: str) -> None:
        if self._tell is not None and self._minute.may():
            self._say("handshake_refused", peer=peer, reason=reason)

    def _say(self, kind: str, **fields: str | int) -> None:
        if self._tell is not None:
            self._tell(kind, **fields)

    def _pass_on(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(stderr.descriptor(), data)


class Minute:
    """So many a minute may, the rest are counted."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._count = 0
        self.left_out = 0

    def may(self) -> bool:
        """Return whether one more may."""
        if self._clock() - self._began >= _MINUTE and not self.left_out:
            self._began, self._count = self._clock(), 0
        self._count += 1
        if self._count <= _PER_MINUTE:
            return True
        self.left_out += 1
        return False

    def over(self) -> int:
        """Return how many were left out, once, when the minute is over; 0 before."""
        return self.rest() if self.left_out and self._clock() - self._began >= _MINUTE else 0

    def rest(self) -> int:
        """Return how many were left out until now, once; a minute begins."""
        count, self.left_out = self.left_out, 0
        self._began, self._count = self._clock(), 0
        return count


class Records:
    """The C core's messages, as they come: `refused(peer, reason)` is called for handshakes that failed.

    `pass_on(bytes)` gets errors, and what is not of the C core.
    """

    def __init__(self, refused: Callable[[str, str], None], pass_on: Callable[[bytes], None]) -> None:
        self._refused = refused
        self._pass_on = pass_on
        self._rest = b""
        self._record = b""

    def take(self, data: bytes) -> None:
        """Take what was written; a record is complete when the next one begins."""
        lines = (self._rest + data).splitlines(keepends=True)
        self._rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
        if len(self._rest) > _MOST_PENDING:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        head = _HEAD.match(line)
        if head is None and self._record and line.startswith(_CONTINUED) and len(self._record) < _MOST_PENDING:
            self._record += line
            return
        self._finish()
        if head is None or head[1] in b"EF":
            self._pass_on(line)
        elif head[1] == b"I":
            self._record = line

    def _finish(self) -> None:
        record, self._record = self._record, b""
        failed = _FAILED.search(record)
        if failed is None or _GONE in record:
            return
        peer = _PEER.search(record)
        self._refused(unquote(peer[1].decode("utf-8", "replace")) if peer else "", _reason(failed[1]))


def _reason(text: bytes) -> str:
    """Return the part of a status that says why, without where in the source."""
    said = text.partition(b"\n")[0].decode("utf-8", "replace")
    said = said.rpartition("OPENSSL_internal:")[2] if "OPENSSL_internal:" in said else said.removeprefix("UNKNOWN: ")
    return said.removesuffix(": OK").removesuffix(": Invalid certificate verification context")
