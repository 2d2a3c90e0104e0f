"""What a monitor keeps ready between two jobs: the next one mostly wants the walls that the last has had."""

from __future__ import annotations

import contextlib
import os

from jsched.isolation.forker_process import Forker
from jsched.isolation.init_process import StepFailed
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.spare import Spare
from jsched.linux import process
from jsched.supervisor.wire import LaunchRequest

# The common walls stand within some milliseconds, unless a file system does not answer.
_READY_MS = 1000


class Spares:
    """The forker of a monitor, if it has one, and its spare; no spare is there while a job runs."""

    def __init__(self) -> None:
        self.forker: Forker | None = None
        self._spare: Spare | None = None

    def prepare(self, last: LaunchRequest, link: int) -> None:
        """Have a spare with the walls of the last job, unless it would keep something busy, or be of no use.

        Nothing is waited for any more when there is a request to be read from `link`.
        """
        sandbox = last.sandbox
        if self._spare is not None or sandbox is None or not Forker.can_serve(sandbox) or _is_born_inside(last):
            return
        # The job that needs them will find out what is wrong, and say which step it is.
        if self.forker is None:
            with contextlib.suppress(StepFailed, OSError):
                self.forker = _fork(sandbox)
        if self.forker is None:
            return
        try:
            ready = self.forker.is_ready(link, _READY_MS)
        except StepFailed:
            self.forker = None
            return
        if ready:
            try:
                self._spare = Spare(sandbox, self.forker)
            except (StepFailed, OSError):
                self._drop_forker()

    def take(self, request: LaunchRequest) -> Spare | None:
        """Return the spare if it fits the next job; what does not is ended."""
        spare, self._spare = self._spare, None
        fits = (
            self.forker is not None
            and request.sandbox is not None
            and not _is_born_inside(request)
            and self.forker.fits(request.sandbox)
        )
        if fits:
            return spare
        if spare is not None:
            spare.close()
        self._drop_forker()
        return None

    def _drop_forker(self) -> None:
        forker, self.forker = self.forker, None
        if forker is not None:
            forker.close()


def _fork(sandbox: Sandbox) -> Forker | None:
    forker = Forker(sandbox)
    if forker.pid in process.children(os.getpid()):
        return forker
    # The kernel does not tell who is left of a job beside the forker.
    forker.close()
    return None


def _is_born_inside(request: LaunchRequest) -> bool:
    """Return whether init has to be forked into its cgroup: in version 2, moving it there later takes too long."""
    return request.cgroup is not None and request.cgroup.version == 2
