"""Init as the monitor sees it: its pid, and what it has told so far."""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from jsched.isolation.reports import Reports


class StepFailed(Exception):
    """A step of a launch has failed, the monitor's or init's, with its errno(3)."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(step, number)
        self.step = step
        self.number = number


class InitProcess:
    """An init that was forked; whoever reaps it calls take_status() then, unless one of these calls has raised."""

    def __init__(self, pid: int, reports: int) -> None:
        """`reports` is the end of its pipe that is read, and belongs to this object."""
        self.pid = pid
        self._reports = reports
        self._told = Reports()

    def fileno(self) -> int:
        """Return the descriptor that is readable when init has told something, or has ended."""
        return self._reports

    def wait_until_ready(self) -> None:
        """Wait until a spare init has its walls; raises StepFailed if it has not, and then it is reaped."""
        while not (self._told.ready or self._told.started):
            self.hear()

    def wait_until_started(self) -> None:
        """Wait until the command is executed; raises StepFailed if it is not, and then init is reaped."""
        while not self._told.started:
            self.hear()

    @property
    def ready(self) -> bool:
        """Whether it has told that its walls are up."""
        return self._told.ready

    @property
    def started(self) -> bool:
        """Whether it has told that the command is executed."""
        return self._told.started

    def hear(self) -> None:
        """Take in what it tells next, waiting for it; raises StepFailed if a step has failed, and it is reaped then."""
        if self._read() and self._told.failed_step is None:
            return
        self._reap()
        # Killed without a word: for want of memory, or by somebody.
        raise StepFailed(self._told.failed_step or "init", self._told.errno or errno.ESRCH)

    def take_status(self, init_status: int) -> int:
        """Return the command's wait status, for an init that was reaped with `init_status`.

        An init that was killed took the command along: then the status is its own.
        """
        try:
            while self._told.status is None and self._read():
                pass
        finally:
            self.close()
        return init_status if self._told.status is None else self._told.status

    def kill(self) -> None:
        """End it and all that is in its namespaces, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def close(self) -> None:
        """Forget it; for one that somebody else has reaped."""
        os.close(self._reports)

    def _read(self) -> bool:
        """Take in what can be read, waiting for it; return whether there was anything."""
        before = self._told
        self._told = before.read(self._reports)
        return self._told is not before

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self.close()
