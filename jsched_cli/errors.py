"""Exit codes: the one place that chooses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsched.errors import JschedError

if TYPE_CHECKING:
    from jsched.job import Job

FAILURE = 1
# `run` and `wait` pass a job's exit code on; what they fail at themselves must not look like it.
OWN_FAILURE = 125
SIGNALED = 128
CLOSED_PIPE = SIGNALED + 13
_AS_THE_JOB_ENDS = ("run", "wait")


def exit_code(verb: str, error: JschedError) -> int:
    """Return the exit code of a failed verb; usage errors are 2 and never come here."""
    return OWN_FAILURE if verb in _AS_THE_JOB_ENDS else FAILURE


def job_exit_code(job: Job) -> int:
    """Return the exit code that passes on how a job ended: its own, 128+n for a signal, else 125."""
    from jsched.job import Exited, Signaled

    match job.outcome:
        case Exited(code):
            return code
        case Signaled(signal):
            return SIGNALED + signal
    return OWN_FAILURE
