"""An init that is forked ahead of its job: the walls are no part of the job's start any more."""

from __future__ import annotations

from collections.abc import Sequence

from jsched.isolation import order
from jsched.isolation.forker_process import Forker
from jsched.isolation.init import prepare_launch
from jsched.isolation.init_process import InitProcess, StepFailed
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.start import START_SECONDS, fork_init


def try_walls(sandbox: Sandbox) -> tuple[str, int] | None:
    """Build the walls, and take them down again; return the step that failed and its errno, None if all stand.

    For a process with one thread. It takes some milliseconds.
    """
    try:
        spare = Spare(sandbox)
        spare.wait_until_ready()
    except StepFailed as failure:
        return failure.step, failure.number
    spare.close()
    return None


class Spare:
    """Builds its walls at once and then waits for a command.

    Whoever waits for any child gets its pid too, should it end early. It is used with start(), once, or ended
    with close().
    """

    def __init__(self, sandbox: Sandbox, forker: Forker | None = None) -> None:
        """Fork it, or have it forked behind the walls of a forker of the same sandbox.

        Raises StepFailed, and so may InitProcess.wait_until_started() for a wall that fails later.
        """
        self._init, self._orders = fork_init(sandbox) if forker is None else forker.fork_init()

    @property
    def pid(self) -> int:
        """Init's pid."""
        return self._init.pid

    def wait_until_ready(self) -> None:
        """Wait until the walls are up; raises StepFailed, with nothing left, if they are not."""
        try:
            self._init.wait_until_ready()
        except StepFailed:
            self._orders.close()
            raise

    def start(
        self, command: Command, log: int, *, tasks: Sequence[int] = (), seconds: float = START_SECONDS
    ) -> InitProcess:
        """Hand it the command, as to start.start(); raises OSError if it is gone, and it has to be closed then."""
        order.send(self._orders, command, log, tasks, address=prepare_launch().address, seconds=seconds)
        return self._init

    def close(self) -> None:
        """End it and all that is in its namespaces, and reap it."""
        self._orders.close()
        self._init.kill()
