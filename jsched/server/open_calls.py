"""Every call that runs, so that it can be ended when its caller may not go on, and counted.

A call is ended by cancelling its task, as gRPC does when a client goes away; the handler knows
no difference, but the client gets an answer that says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from jsched.errors import JschedError, ResourceExhausted
from jsched.server.call import CallContext

# Seconds between two looks at whether callers may go on.
EVERY = 0.5
_LOG = logging.getLogger("jsched.server")


class OpenCalls:
    """The calls that run now, by their certificates; for one event loop."""

    def __init__(self) -> None:
        self._calls: dict[bytes, set[CallContext]] = {}
        self._streams: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._calls.values()))

    def streams(self, user: str) -> int:
        """Return how many calls that last a user has open."""
        return self._streams.get(user, 0)

    def enter(self, call: CallContext) -> None:
        """Note that a call with a good certificate begins."""
        calls = self._calls.get(call.certificate)
        if calls is None:
            calls = self._calls[call.certificate] = set()
        else:
            # gRPC makes a copy for each.
            call.certificate = next(iter(calls)).certificate
        calls.add(call)

    def enter_stream(self, call: CallContext, most: int | None, limit: str) -> None:
        """Note that the call is one that lasts.

        Raises ResourceExhausted, naming the limit, if its user has `most` of them (None: as many as wanted).
        """
        self._enter_stream(call, call.user, f"user {call.user}", "streams, waits and uploads", most, limit)

    def enter_stop(self, call: CallContext, most: int | None, limit: str) -> None:
        """Note that the call waits for a job's end, for as long as the job's grace period is.

        Counted apart from what else its user has: who has many streams can still stop a job. Raises
        ResourceExhausted as `enter_stream` does.
        """
        self._enter_stream(call, f"stops of {call.user}", f"user {call.user}", "stops", most, limit)

    def enter_watch(self, call: CallContext, most: int | None, limit: str) -> None:
        """Note that the call is a watch of health; counted by certificate, which may name no user.

        Raises ResourceExhausted as `enter_stream` does.
        """
        # No user's name has a space.
        whose = f"certificate {call.entry.serial}"
        self._enter_stream(call, whose, whose, "watches of health", most, limit)

    def enter_questions(self, call: CallContext, most: int, limit: str) -> None:
        """Note that the call is a stream of questions about the API, whose next one may be on its way in for ever.

        Raises ResourceExhausted as `enter_stream` does.
        """
        self._enter_stream(call, f"questions of {call.caller}", call.caller, "streams of reflection", most, limit)

    def _enter_stream(self, call: CallContext, key: str, whose: str, what: str, most: int | None, limit: str) -> None:
        count = self._streams.get(key, 0)
        if most is not None and count >= most:
            raise ResourceExhausted(
                f"{whose} has {count} {what} open, as many as {limit} allows",
                obj=limit,
                hint="end some of them first",
            )
        self._streams[key] = count + 1
        call.stream_of = key

    def leave(self, call: CallContext) -> None:
        """Note that a call is over, or is about to be answered, and can't be ended any more.

        Raises the error that it was ended with, unless its client has gone in the same moment.
        """
        calls = self._calls.get(call.certificate)
        if calls is not None:
            calls.discard(call)
            if not calls:
                del self._calls[call.certificate]
        if call.stream_of:
            self._streams[call.stream_of] -= 1
            if not self._streams[call.stream_of]:
                del self._streams[call.stream_of]
            call.stream_of = ""
        if call.ending is not None and call.task is not None:
            # The answer is still to come, and awaits things: it must not be cancelled with the rest.
            for _ in range(call.cancellations):
                call.task.uncancel()
            if not call.task.cancelling():
                raise call.ending

    def end(self, call: CallContext, error: JschedError) -> None:
        """End a call that runs, with this error as its answer."""
        call.ending = error
        if call.task is not None:
            call.cancellations += 1
            call.task.cancel()

    def end_where(self, verdict: Callable[[CallContext], JschedError | None]) -> None:
        """End the calls that `verdict` has an error for."""
        for call in [call for calls in self._calls.values() for call in calls]:
            error = verdict(call)
            if error is not None:
                self.end(call, error)

    def end_certificates(self, verdict: Callable[[bytes], JschedError | None]) -> None:
        """End the calls whose certificate `verdict` has an error for; asked once a certificate, so it is cheap."""
        for certificate, calls in list(self._calls.items()):
            if verdict(certificate) is None:
                continue
            for call in list(calls):
                error = verdict(certificate)
                if error is not None:
                    self.end(call, error)


async def keep_looking(look: Callable[[], None]) -> NoReturn:
    """Call `look` twice a second, whatever happens: a call that may not go on ends within a second."""
    while True:
        await asyncio.sleep(EVERY)
        try:
            look()
        except Exception:  # noqa: BLE001 - whatever goes wrong once, the next look is due
            _LOG.exception("a defect in looking at open calls")
