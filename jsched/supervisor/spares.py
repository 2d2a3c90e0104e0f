"""An init that a monitor keeps ready, with the walls that its last job had: the next one mostly wants the same."""

from __future__ import annotations

from jsched.isolation.init_process import StepFailed
from jsched.isolation.sandbox import HOST
from jsched.isolation.spare import Spare
from jsched.supervisor.wire import LaunchRequest


class Spares:
    """The spare of a monitor, if it has one; none is there while a job runs."""

    def __init__(self) -> None:
        self._spare: Spare | None = None

    def prepare(self, last: LaunchRequest) -> None:
        """Fork a spare with the walls of the last job, unless it would keep something busy, or be of no use."""
        sandbox = last.sandbox
        if self._spare is not None or sandbox is None or sandbox.mode != HOST or sandbox.binds or _is_born_inside(last):
            return
        try:
            self._spare = Spare(sandbox)
        except (StepFailed, OSError):
            # The job that needs it will find out, and say which step it is.
            self._spare = None

    def take(self, request: LaunchRequest) -> Spare | None:
        """Return the spare if it fits the next job; one that does not is ended."""
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        if request.sandbox is not None and not _is_born_inside(request) and spare.fits(request.sandbox):
            return spare
        spare.close()
        return None


def _is_born_inside(request: LaunchRequest) -> bool:
    """Return whether init has to be forked into its cgroup: in version 2, moving it there later takes too long."""
    return request.cgroup is not None and request.cgroup.version == 2
