"""Where a reader of a job's output stands: what the sync and the aio stream share."""

from __future__ import annotations

from typing import Any

from jsched.client import decode, requests
from jsched.client.retry import OnReconnect, OnResume, Patience
from jsched.errors import Internal, Unavailable
from jsched.job import Chunk, Job
from jsched.v1 import jobs_pb2 as pb


class Position:
    """The offset of the next byte, and the job once it has ended and every byte was read."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.ended: Job | None = None

    def accept(self, message: pb.StreamOutputResponse) -> Chunk | None:
        """Take a message and return the bytes it carries, if any.

        Raises Internal if the message does not go on exactly where the one before ended:
        rather no output than output with a hole or a repeat.
        """
        if self.ended is not None:
            raise Internal("the server went on after the end of the output")
        data = message.data
        if message.offset != self.offset and (data or message.offset):
            raise Internal(
                f"the server sent output from byte {message.offset} instead of byte {self.offset}",
                hint="what was shown up to here is right; the log file on the host has the rest",
            )
        chunk = Chunk(self.offset, data) if data else None
        self.offset += len(data)
        if message.HasField("ended"):
            self.ended = decode.job(message.ended)
        return chunk


class Reading:
    """A stream of a job's output, without the reading itself."""

    def __init__(
        self,
        job_id: str,
        offset: int,
        follow: bool,
        patience: Patience,
        on_reconnect: OnReconnect | None,
        on_resume: OnResume | None,
    ) -> None:
        self.job_id = job_id
        self._follow = follow
        self._patience = patience
        self._on_reconnect = on_reconnect
        self._on_resume = on_resume
        self._position = Position(offset)
        self._call: Any = None
        self._resuming = False
        self._closed = False
        # Checked now, not at the first read.
        self._request()

    @property
    def offset(self) -> int:
        """The offset of the next byte."""
        return self._position.offset

    @property
    def ended(self) -> Job | None:
        """The job, once it has ended and all of its output was read."""
        return self._position.ended

    def close(self) -> None:
        """End the iteration, from wherever: another task or thread, or a signal handler."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()

    def _request(self) -> pb.StreamOutputRequest:
        return requests.stream(self.job_id, self.offset, self._follow)

    def _broken(self) -> None:
        """Note that the call is over before its end."""
        self._call, self._resuming = None, True

    def _forget_call(self) -> None:
        """Let go of a call that nobody reads any more, so that the next read begins another."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _resumed(self) -> None:
        """Note that the server answers."""
        self._patience.succeeded()
        if self._resuming:
            self._resuming = False
            if self._on_resume is not None:
                self._on_resume(self.offset)

    def _finished(self) -> None:
        """Note that the server has ended the stream; raises Unavailable if it was too early."""
        if self._follow and self.ended is None:
            raise Unavailable("the server ended the stream before the job did", obj=self.job_id, hint="try again")
        self._closed = True
