"""How it is told that a launch has come to nothing: from a step and its errno to an error of ours."""

from __future__ import annotations

import errno
import os

from jsched.errors import (
    FailedPrecondition,
    Internal,
    JschedError,
    ResourceExhausted,
    StartFailed,
    Unavailable,
)
from jsched.supervisor.wire import LaunchRequest, Report

SHORT_OF = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
# The step of a start that has hung and was ended.
START = "start"


def no_launcher(reason: str) -> Unavailable:
    """Return the error for a launcher that is not to be had."""
    return Unavailable(f"the launcher can't be started: {reason}", obj="launcher", hint="try again in some seconds")


def of_report(request: LaunchRequest, report: Report) -> JschedError:
    """Return the error for a step that a monitor has reported."""
    step = report.failed_step or "monitor"
    number = report.errno or 0
    job_id = request.job_id
    if step == START:
        return of_hanging_start(request, number)
    # Each step's thing, and whose fault it is: the caller chose the command and its directory, the rest is the host's.
    blame: dict[str, tuple[type[JschedError], str, str]] = {
        "exec": (StartFailed, f"cannot execute {request.argv[0]!r}", request.argv[0]),
        "workdir": (StartFailed, f"working directory {request.workdir}", request.workdir),
        "bind": (StartFailed, "a bind can't be made", "binds"),
        "sources": (StartFailed, "what is to be bound, or the root file system", "binds"),
        "log": (FailedPrecondition, f"log file {request.log_path}", request.log_path),
        "cgroup": (FailedPrecondition, f"cgroup of job {job_id}", job_id),
        "record": (Internal, f"run record of job {job_id}", job_id),
        "fork": (Internal, f"cannot create a process for job {job_id}", job_id),
    }
    kind, thing, obj = blame.get(step, (Internal, f"step {step!r} of job {job_id}", job_id))
    message = f"{thing}: {os.strerror(number)}"
    if number in SHORT_OF:
        return ResourceExhausted(message, obj=obj)
    if kind is StartFailed:
        return StartFailed(message, step=step, errno=number, job_id=job_id, obj=obj)
    return kind(message, obj=obj, hint="an administrator of the host has to look at it")


def of_hanging_start(request: LaunchRequest, number: int) -> StartFailed:
    """Return the error for a start that was ended: ETIMEDOUT at its time limit, ECANCELED by a stop."""
    command = request.argv[0]
    if number == errno.ECANCELED:
        message, hint = f"start of {command!r} was ended by a stop", ""
    else:
        message = f"start of {command!r} has taken longer than {request.start_timeout:g} seconds, and was ended"
        hint = "a file system that it needs may not answer"
    return StartFailed(message, step=START, errno=number, job_id=request.job_id, obj=command, hint=hint)
