"""What a caller is told of a launch that has come to nothing."""

from __future__ import annotations

import errno

import pytest

from jsched.errors import ResourceExhausted, StartFailed
from jsched.isolation.sandbox import Bind
from jsched.supervisor import failures
from jsched.supervisor.wire import LaunchRequest, Report

BINDS = (
    Bind("/run/resolv.conf", "/run/resolv.conf"),
    Bind("/srv/a", "/mnt/a"),
    Bind("/srv/b", "/mnt/b", writable=True),
)
REQUEST = LaunchRequest(
    job_id="job",
    argv=("true",),
    env={},
    workdir="/",
    log_path="/log",
    log_gid=None,
    runs_dir="/runs",
    exits_dir="/exits",
    stops_dir="/stops",
    timeout=None,
    grace=1.0,
    start_timeout=1.0,
)


@pytest.mark.parametrize(
    ("step", "number", "what"),
    [
        ("sources", errno.ELOOP, "on the way to its source there is a symbolic link now"),
        ("sources", errno.ENOENT, "its source is gone"),
        ("sources", errno.EIO, "Input/output error"),
        ("owners", errno.EINVAL, "its file system can't be written to as the owner of its source"),
        ("bind", errno.EROFS, "its target is not there, and the job's files are read-only there"),
        ("bind", errno.EISDIR, "its source is no directory, and its target is one"),
        ("bind", errno.ENOTDIR, "its target, or what leads there, is no directory"),
        ("bind", errno.ELOOP, "its target, or what leads there, is a symbolic link"),
        ("bind", errno.ENAMETOOLONG, "File name too long"),
    ],
)
def test_a_bind_that_can_not_be_made(step: str, number: int, what: str) -> None:
    """It is said which bind it is, what is wrong with it and what to do, and the step is what it is called."""
    error = failures.of_report(REQUEST, Report("job", failed_step=f"{step}:2", errno=number), BINDS)
    assert isinstance(error, StartFailed)
    assert error.message == f"bind /srv/b:/mnt/b: {what}"
    assert (error.step, error.errno, error.obj, error.job_id) == (step, number, "binds", "job")
    assert error.hint


def test_a_bind_for_which_there_is_no_room() -> None:
    """A shortage of the host stays one, whatever met it."""
    error = failures.of_report(REQUEST, Report("job", failed_step="bind:1", errno=errno.ENOSPC), BINDS)
    assert isinstance(error, ResourceExhausted)


def test_a_root_file_system_that_can_not_be_taken() -> None:
    """It is not taken for a bind."""
    error = failures.of_report(REQUEST, Report("job", failed_step="sources", errno=errno.ENOENT), BINDS)
    assert (error.message, error.obj) == (
        "the root file system can't be taken: No such file or directory",
        "rootfs",
    )
