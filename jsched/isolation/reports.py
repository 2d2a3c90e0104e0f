"""What init tells the monitor through a pipe: one line each, written at once.

    ready                 the walls are up, and a spare init waits for its command
    started               the command is executed
    failed STEP ERRNO     a step of the plan has failed, or exec; nothing was executed. STEP:N is one of a bind, by its
                          place in the sandbox
    ended STATUS          the command has ended, with this status of wait(2)

The pipe's end without a last line means that init was killed, and with it everything in its namespaces.
"""

from __future__ import annotations

import os
from typing import NamedTuple

READY = "ready"
STARTED = "started"
FAILED = "failed"
ENDED = "ended"

# One line is far shorter, and shorter than PIPE_BUF, so that it comes whole.
_LONGEST = 4096


class Reports(NamedTuple):
    """What was told so far."""

    ready: bool = False
    started: bool = False
    failed_step: str | None = None
    errno: int = 0
    status: int | None = None

    def read(self, fd: int) -> Reports:
        """Return this and what can be read now; waits for a line, or the end, if nothing can."""
        reports = self
        for line in os.read(fd, _LONGEST).decode("ascii").splitlines():
            kind, *words = line.split()
            if kind == READY:
                reports = reports._replace(ready=True)
            elif kind == STARTED:
                reports = reports._replace(started=True)
            elif kind == FAILED:
                reports = reports._replace(failed_step=words[0], errno=int(words[1]))
            elif kind == ENDED:
                reports = reports._replace(status=int(words[0]))
        return reports


def encode(kind: str, *words: object) -> bytes:
    """Return the line that tells it."""
    return (" ".join((kind, *map(str, words))) + "\n").encode("ascii")
