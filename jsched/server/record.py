"""The audit's lines of one call: room for them is held before anything is done.

A call has one line, written before its answer leaves. A stream's answer begins with its first
message: before that leaves a line says that it is open, and a second one how it ended, so that
a stream that is open when the server is killed is in the trail.
"""

from __future__ import annotations

from typing import Any

from jsched.server.audit import Audit, Entry
from jsched.server.audit_room import Hold

_STOP = "stop"


class Record:
    """What the audit will have of a call that runs; `streams` is whether it has many answers."""

    __slots__ = ("_audit", "_entry", "_hold", "_streams")

    def __init__(self, audit: Audit, entry: Entry, streams: bool) -> None:
        self._audit = audit
        self._entry = entry
        self._streams = streams
        self._hold: Hold | None = None

    async def hold(self) -> None:
        """Hold room for the lines; raises ResourceExhausted or Internal if there is none: then nothing may be done."""
        stops_for = self._entry.user if self._entry.verb == _STOP else None
        self._hold = await self._audit.hold(2 if self._streams else 1, stops_for=stops_for)

    def watch(self, context: Any) -> Any:
        """Return the handler's context: of a stream, one whose first message leaves after its first line is written."""
        return _Opening(context, self) if self._streams else context

    async def open(self) -> None:
        """Write the line that says that the stream is open, unless that was done; raises as `write` does."""
        entry = self._entry
        if entry.event == "call":
            entry.event = "open"
            try:
                entry.opened_seq = await self._audit.write(entry, self._hold)
            finally:
                entry.event = "end"

    async def write(self) -> None:
        """Write the last line, or the only one; raises ResourceExhausted or Internal if that can't be done."""
        try:
            await self._audit.write(self._entry, self._hold)
        finally:
            if self._hold is not None:
                self._hold.release()


class _Opening:
    """A stream's context; `write` is gRPC's own after the first message."""

    __slots__ = ("_context", "_record", "write")

    def __init__(self, context: Any, record: Record) -> None:
        self._context = context
        self._record = record
        self.write = self._write_first

    async def send_initial_metadata(self, metadata: Any) -> None:
        await self._record.open()
        await self._context.send_initial_metadata(metadata)

    async def _write_first(self, message: Any) -> None:
        await self._record.open()
        self.write = self._context.write
        await self._context.write(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
