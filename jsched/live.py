"""A job that has not ended, as the engine holds it in memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from jsched.errors import JschedError
from jsched.job import Job
from jsched.linux import process
from jsched.state import JobState
from jsched.supervisor.record import RunRecord


def _future() -> asyncio.Future[Job]:
    future: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
    # Most jobs end with nobody waiting for them.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


@dataclass(slots=True)
class LiveJob:
    """What the engine keeps of a job between its start and its end.

    `request_id` is that of its start, if it had one. `stored` is the state that the database has;
    `started` and `ended` are resolved with the job, or with the error that kept it from starting.
    `pidfd` refers to the monitor and is readable once that has ended, pidfd_open(2). `rootfs` is
    the digest of the root file system that it uses. `stopped` is `ended` for those who stop the job: it has
    ResourceExhausted if nothing is left of the job and there is no room to write its end.
    """

    id: str
    owner: str
    request_id: str | None = None
    stored: JobState = JobState.PENDING
    run: RunRecord | None = None
    pidfd: int | None = None
    settling: bool = False
    rootfs: str = ""
    started: asyncio.Future[Job] = field(default_factory=_future)
    ended: asyncio.Future[Job] = field(default_factory=_future)
    stopped: asyncio.Future[Job] = field(default_factory=_future)

    @property
    def monitor_gone(self) -> bool:
        """Whether the monitor of a started job has ended."""
        return self.pidfd is None or process.has_ended(self.pidfd)

    def watch(self, pidfd: int, gone: Callable[[str], None]) -> None:
        """Call `gone` with the job's id when its monitor has ended."""
        self.pidfd = pidfd
        asyncio.get_running_loop().add_reader(pidfd, gone, self.id)

    def unwatch(self) -> None:
        """Stop watching the monitor, without signalling it."""
        if self.pidfd is not None:
            asyncio.get_running_loop().remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = None

    def fail(self, error: JschedError) -> None:
        """Tell everyone who waits that the job was never started."""
        self.unwatch()
        for future in (self.started, self.ended, self.stopped):
            if not future.done():
                future.set_exception(error)
