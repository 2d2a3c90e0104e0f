"""How it is told that a launch has come to nothing: from a step and its errno to an error of ours."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from jsched.errors import (
    FailedPrecondition,
    Internal,
    JschedError,
    ResourceExhausted,
    StartFailed,
    Unavailable,
)
from jsched.isolation.sandbox import Bind
from jsched.supervisor.wire import LaunchRequest, Report

SHORT_OF = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
_OTHER_TARGET = "name a directory that is there, or one below /tmp, or run the job in a root file system"
_AGAIN = "it was there when the job was judged: see that nobody changes it, and start the job again"
_READ_ONLY = "ask for it without `rw`, or bind what lies on another file system"
# What is wrong with a bind, and what to do, by the step and its errno: of the source while it is taken, of the target
# while it is mounted there.
_WRONG_WITH_BIND = {
    ("sources", errno.ENOENT): ("its source is gone", _AGAIN),
    ("sources", errno.ENOTDIR): ("its source is gone", _AGAIN),
    ("sources", errno.ELOOP): ("on the way to its source there is a symbolic link now", _AGAIN),
    ("sources", errno.EACCES): (
        "the server's user may not go to its source",
        "have its owner let that user through the directories that lead there",
    ),
    ("owners", errno.EINVAL): ("its file system can't be written to as the owner of its source", _READ_ONLY),
    ("bind", errno.EROFS): ("its target is not there, and the job's files are read-only there", _OTHER_TARGET),
    ("bind", errno.EACCES): ("its target is where the job's user may not go, or make anything", _OTHER_TARGET),
    ("bind", errno.EISDIR): ("its source is no directory, and its target is one", "name a file as its target"),
    ("bind", errno.ENOTDIR): (
        "its target, or what leads there, is no directory",
        "name a directory below directories, or as the target of a file a file",
    ),
    ("bind", errno.ELOOP): (
        "its target, or what leads there, is a symbolic link",
        "name the place that the link leads to",
    ),
}
_LOOK = {"sources": "look at its source", "owners": _READ_ONLY, "bind": "look at its target"}
# The step of a start that has hung and was ended.
START = "start"


def no_launcher(reason: str) -> Unavailable:
    """Return the error for a launcher that is not to be had."""
    return Unavailable(f"the launcher can't be started: {reason}", obj="launcher", hint="try again in some seconds")


def no_descriptor(what: str, error: OSError) -> ResourceExhausted:
    """Return the error for a file or socket that the server itself could not open for want of room."""
    limit = {errno.EMFILE: "RLIMIT_NOFILE", errno.ENFILE: "fs.file-max"}.get(error.errno or 0, "")
    hint = f"raise the server's {limit}, or wait until fewer jobs run" if limit else "wait until fewer jobs run"
    return ResourceExhausted(f"no socket is left for {what}: {error.strerror}", obj=limit, hint=hint)


def of_report(request: LaunchRequest, report: Report, binds: Sequence[Bind] = ()) -> JschedError:
    """Return the error for a step that a monitor has reported; `binds` are those of the job's sandbox."""
    step, _, place = (report.failed_step or "monitor").partition(":")
    number = report.errno or 0
    job_id = request.job_id
    if step == START:
        return of_hanging_start(request, number)
    if place and number not in SHORT_OF:
        return of_bind(binds[int(place)], step, number, job_id)
    # Each step's thing, and whose fault it is: the caller chose the command and its directory, the rest is the host's.
    blame: dict[str, tuple[type[JschedError], str, str]] = {
        "exec": (StartFailed, f"cannot execute {request.argv[0]!r}", request.argv[0]),
        "workdir": (StartFailed, f"working directory {request.workdir}", request.workdir),
        "bind": (StartFailed, "a bind can't be made", "binds"),
        "sources": (StartFailed, "the root file system can't be taken", "rootfs"),
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


def of_bind(bind: Bind, step: str, number: int, job_id: str) -> StartFailed:
    """Return the error for a bind that can't be made, at this step with this errno."""
    what, hint = _WRONG_WITH_BIND.get((step, number), (os.strerror(number), _LOOK.get(step, "")))
    message = f"bind {bind.source}:{bind.target}: {what}"
    return StartFailed(message, step=step, errno=number, job_id=job_id, obj="binds", hint=hint)


def of_hanging_start(request: LaunchRequest, number: int) -> StartFailed:
    """Return the error for a start that was ended: ETIMEDOUT at its time limit, ECANCELED by a stop."""
    command = request.argv[0]
    if number == errno.ECANCELED:
        message, hint = f"start of {command!r} was ended by a stop", ""
    else:
        message = f"start of {command!r} has taken longer than {request.start_timeout:g} seconds, and was ended"
        hint = "a file system that it needs may not answer"
    return StartFailed(message, step=START, errno=number, job_id=request.job_id, obj=command, hint=hint)
