"""The audit trail as the server sees it: room for a line is held before anything is done, then the line is written.

A call's answer leaves after its line has been written (write(2); not yet fsync(2), which
would cost more than the calls themselves). One thread writes, many waiting lines at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jsched.audit.anchors import Anchors
from jsched.audit.killed import Killed, last_killed
from jsched.audit.line import MAX_LINE
from jsched.audit.recorder import Outcome, Recorder, is_full
from jsched.audit.trail import Trail
from jsched.audit.writer import event_body
from jsched.audit_config import AuditConfig
from jsched.errors import FailedPrecondition, Internal, JschedError, ResourceExhausted
from jsched.server.audit_entry import Entry
from jsched.server.audit_lines import Lines, Waiting
from jsched.server.audit_room import Hold, Room

__all__ = ["Audit", "Entry"]

# What stands around a body: number and hash.
_AROUND = 120
_log = logging.getLogger("jsched.server")


class Audit:
    """The audit trail in the file `path`; used on one event loop, unless a method says otherwise.

    Raises FailedPrecondition if it can't be opened. Use it as an async context manager or call
    `close`.
    """

    def __init__(self, path: Path, config: AuditConfig | None = None) -> None:
        config = config or AuditConfig()
        self.path = path
        trail = self._trail = Trail(path)
        try:
            self._recorder = Recorder(trail, config)
        except OSError as error:
            message = f"the audit trail {path} can't be opened: {error.strerror}"
            raise FailedPrecondition(message, obj=str(path)) from None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._room = Room()
        self._failure: OSError | None = None
        self._shortage: OSError | None = None
        self._short = False
        self._growing: asyncio.Future[int] | None = None
        self._missing = 0
        self._room.ahead = self._recorder.set_aside(self._room.wanted).ahead
        self._lines = Lines(self._recorder, lambda: self._room.wanted, self._tell)
        self._anchors = Anchors(trail, self._recorder.snapshot, config.anchor_interval)

    @property
    def failing(self) -> bool:
        """Whether the last line could not be written; then nothing may be done that needs a line."""
        return self._failure is not None

    def error(self) -> JschedError:
        """Return what those are told whose lines can't be written: ResourceExhausted on a full disk, else Internal."""
        error = self._failure or self._shortage
        kind = ResourceExhausted if error is None or is_full(error) else Internal
        return kind("the audit trail can't be written", hint="the server's log says more")

    async def hold(self, lines: int = 1, *, stops_for: str | None = None) -> Hold:
        """Return room for so many lines, to be released; raise error() if there is none.

        The lines will fit whatever happens to the disk. `stops_for` is a user who may stop a job and
        asks for that: there is room kept for it.
        """
        if self._failure is not None:
            raise self.error()
        return await self._take(lines, stops_for)

    async def write(self, entry: Entry, hold: Hold | None = None) -> int:
        """Return the line's number when it is in the file; raise error() if it can't be written.

        Without a `hold` that only works if there is room now.
        """
        return await self._write(entry.body(), hold, None)

    async def last_killed(self) -> Killed | None:
        """Return the server before this one if it was killed, to be asked before this one's first event."""
        try:
            return await asyncio.to_thread(last_killed, self._trail)
        except OSError as error:
            _log.error("%s: %s; starts that have no line can't be found", error.filename, error.strerror)
            return None

    async def event(self, kind: str, **fields: Any) -> bool:
        """Write a line about something that is no RPC; return whether that could be done, nothing is raised.

        What can't be written is in the server's log. Kinds and their fields:

        `server_start` (version, listen, policy, policy_digest, config: a hash of it) and
        `server_stop` (reason); `policy_reload` (policy, policy_digest, reason: "" if it was read, else
        why the old one is kept); `certificates_reload` (file, reason likewise); `handshake_refused`
        (peer, reason) and `handshakes_refused` (count: how many more there were than get lines);
        `start_unrecorded` (user, job, created, argv as calls have it: a job whose start was under way
        when the server before was killed);
        `listener_restarted` (reason: what gRPC could not read); `lines_missing` (count: calls that
        were refused while there was no room for their lines);
        and those of `jsched.audit.recorder`.
        """
        body = event_body(kind, fields)
        try:
            await self._write(body, None, "")
        except JschedError as error:
            _log.error("not in the audit trail: %s: {%s}", error.message, body.decode("ascii"))
            return False
        return True

    def note(self, kind: str, **fields: str | float | None) -> None:
        """Have an event's line written soon, if there is room; returns at once, and may be called by any thread."""
        body = event_body(kind, fields)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note, body)

    def close(self) -> None:
        """Write what waits, end the threads and close the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._lines.close()
        self._anchors.close()
        self._recorder.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    async def _write(self, body: bytes, hold: Hold | None, stops_for: str | None) -> int:
        room = hold.split() if hold is not None else None
        if room is None:
            try:
                room = await self._take(1, stops_for)
            except JschedError:
                self._missing += 1
                raise
        return await self._lines.put(body, room)

    async def _take(self, lines: int, stops_for: str | None) -> Hold:
        hold = self._room.take(lines, stops_for)
        if hold is not None:
            return hold
        size = lines * MAX_LINE
        self._room.waited_for += size
        try:
            while hold is None:
                if self._growing is None:
                    self._growing = self._lines.put(None, None)
                short = await asyncio.shield(self._growing)
                hold = self._room.take(lines, stops_for)
                if hold is None and (short or self._failure):
                    raise self.error()
        finally:
            self._room.waited_for -= size
        return hold

    def _note(self, body: bytes) -> None:
        hold = self._room.take(1)
        if hold is None:
            self._missing += 1
            return
        with contextlib.suppress(Internal):
            self._lines.put(body, hold).add_done_callback(_forget)

    def _tell(self, batch: list[Waiting], outcome: Outcome) -> None:
        self._room.ahead = outcome.ahead
        self._failure = outcome.failure
        self._shortage = outcome.shortage or self._shortage
        self._say_shortage()
        links = iter(outcome.links)
        for body, hold, done in batch:
            if body is None:
                self._growing = None
                _resolve(done, outcome.shortage is not None)
                continue
            link = next(links, None)
            if hold is not None:
                hold.release(used=len(body) + _AROUND if link else 0)
            if link is not None:
                _resolve(done, link.seq)
            elif not done.done():
                done.set_exception(self.error())
        if self._missing and self._room.plenty and self._failure is None:
            count, self._missing = self._missing, 0
            self._note(event_body("lines_missing", {"count": count}))

    def _say_shortage(self) -> None:
        """Say so once when there is no room left for calls, and once when there is some again."""
        if self._room.plenty:
            if self._short:
                _log.warning("there is room for the audit trail %s again", self.path)
            self._short, self._shortage = False, None
        elif self._shortage is not None and not self._short:
            _log.error(
                "no room for the audit trail %s: %s; all but stops is refused", self.path, self._shortage.strerror
            )
            self._short = True


def _resolve(future: asyncio.Future[int], value: int) -> None:
    if not future.done():
        future.set_result(value)


def _forget(future: asyncio.Future[int]) -> None:
    if not future.cancelled():
        future.exception()
