"""When a call is made again: the policy, without the waiting."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from jsched.client.diagnosis import NotConnected
from jsched.errors import FailedPrecondition, JschedError, ResourceExhausted, Unavailable

FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0
# A call that was accepted and held on for so many seconds shows that the server was there.
HELD = 1.0

OnReconnect = Callable[[JschedError, int], None]
OnResume = Callable[[int], None]
# The server's limit for streams that send nothing; a job may be silent for as long as it likes.
_SILENCE = "stream_idle_timeout"
_WHOLE_ID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def is_whole_id(ref: str) -> bool:
    """Whether `ref` is a whole job id: a name or a prefix may mean another job after a reconnection."""
    return re.fullmatch(_WHOLE_ID, ref) is not None


def closed() -> FailedPrecondition:
    """Return the error for what is asked of a client that was closed, or is closed meanwhile."""
    return FailedPrecondition("the client is closed", hint="use it inside of its `with` block, before close()")


def _may_pass(error: JschedError) -> bool:
    """Whether another attempt may succeed: the server is away, or it has ended a stream for its silence alone."""
    return isinstance(error, Unavailable) or (isinstance(error, ResourceExhausted) and error.obj == _SILENCE)


class Patience:
    """One call's patience with a server that is away.

    `timeout` is how many seconds without success are too many. `known` says whether this
    server has answered before: one that never did is not waited for, as its address or its
    state is more likely wrong than about to change.
    """

    def __init__(self, timeout: float, *, known: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout = timeout
        self._known = known
        self._clock = clock
        self._began = clock()
        self._trouble: float | None = None
        self.attempt = 0

    def begins(self) -> None:
        """Note that a call begins."""
        self._began = self._clock()

    def succeeded(self) -> None:
        """Note that the server has answered."""
        self._known = True
        self._trouble = None
        self.attempt = 0

    def after(self, error: JschedError) -> float:
        """Return for how many seconds to wait before the next attempt.

        Raises `error` if another attempt won't help, and Unavailable if the time is up.
        """
        if not _may_pass(error) or self._timeout <= 0:
            raise error
        if isinstance(error, NotConnected):
            if not self._known:
                raise error
        elif self._clock() - self._began >= HELD:
            self.succeeded()
        now = self._clock()
        if self._trouble is None:
            self._trouble = now
        left = self._trouble + self._timeout - now
        if left <= 0:
            raise Unavailable(
                f"gave up after {self._timeout:g} s: {error.message}", obj=error.obj, hint=error.hint
            ) from error
        self._known = True
        self.attempt += 1
        return min(FIRST_DELAY * 2.0 ** min(self.attempt - 1, 10), LONGEST_DELAY, left)
