"""How an end becomes an exit record, and how that gets to disk."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import time
from typing import NamedTuple

from jsched.isolation.cgroup_plan import CgroupUsage
from jsched.supervisor import record
from jsched.supervisor.exit_room import ExitRoom
from jsched.supervisor.record import ExitRecord, RunRecord
from jsched.supervisor.wire import LaunchRequest

_RETRY = 1.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_MAY_PASS = _FULL | frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN})


class Usage(NamedTuple):
    """What reaped processes and those that they have waited for used: seconds of CPU, largest RSS in bytes."""

    cpu_user: float = 0.0
    cpu_system: float = 0.0
    max_rss: int = 0

    def plus(self, reaped: resource.struct_rusage) -> Usage:
        """Return the usage with that of one more reaped process, wait4(2)."""
        return Usage(
            self.cpu_user + reaped.ru_utime,
            self.cpu_system + reaped.ru_stime,
            max(self.max_rss, reaped.ru_maxrss * 1024),
        )


def from_status(
    run: RunRecord,
    status: int,
    usage: Usage,
    used: CgroupUsage | None = None,
    *,
    seconds: float,
    stopped: bool,
    timed_out: bool,
    killed: bool,
) -> ExitRecord:
    """Return the record of a job whose main process has ended with the wait status, after so many seconds.

    `killed` says that SIGKILL was sent to it, `used` what its cgroup has counted.
    """
    killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    return ExitRecord(
        job_id=run.job_id,
        exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        signal=killed_by,
        failed_step=None,
        errno=None,
        stopped=stopped,
        timed_out=timed_out,
        # One that had ended by itself when the signal came was not forced.
        forced=killed and killed_by == signal.SIGKILL,
        started_at_ns=run.started_at_ns,
        ended_at_ns=run.started_at_ns + int(seconds * 1e9),
        cpu_user=usage.cpu_user,
        cpu_system=usage.cpu_system,
        max_rss=usage.max_rss,
        used=used,
    )


def write(exits_dir: str, ending: ExitRecord, room: ExitRoom) -> None:
    """Write an exit record, into `room` if the disk is full; without that, or short of memory, try until it works.

    Raises OSError for what won't pass: then this process must end, so that the job counts as lost.
    """
    complained = False
    while True:
        try:
            _write(exits_dir, ending, room)
        except OSError as error:
            if error.errno not in _MAY_PASS:
                raise
            if not complained:
                complain(ending.job_id, error)
                complained = True
            time.sleep(_RETRY)
        else:
            return


def _write(exits_dir: str, ending: ExitRecord, room: ExitRoom) -> None:
    try:
        record.write_exit(exits_dir, ending)
    except OSError as error:
        if error.errno not in _FULL or not room.write(exits_dir, ending):
            raise


def sync(exits_dir: str, job_id: str) -> None:
    """Bring an exit record that no server has taken over yet to the disk, as far as that can be done."""
    try:
        record.sync_exit(exits_dir, job_id)
    except OSError as error:
        complain(job_id, error)


def write_failed_start(request: LaunchRequest, step: str, number: int, *, claimed: bool) -> None:
    """Write the exit record of a job that could not be started, for a server that is away.

    Unless the run record is the caller's own (`claimed`), the job's place is taken first: if
    somebody else has it, how that job ends is not the caller's to say. Tried once: a server that
    is there is told anyway.
    """
    ending = ExitRecord(
        job_id=request.job_id,
        exit_code=None,
        signal=None,
        failed_step=step,
        errno=number,
        stopped=False,
        timed_out=False,
        forced=False,
        started_at_ns=None,
        ended_at_ns=time.time_ns(),
        cpu_user=0.0,
        cpu_system=0.0,
        max_rss=0,
    )
    try:
        if not claimed:
            record.write_claim(request.runs_dir, request.job_id)
        record.write_exit(request.exits_dir, ending)
    except FileExistsError:
        pass
    except OSError as error:
        complain(request.job_id, error)


def complain(job_id: str, defect: BaseException) -> None:
    """Say in one line on stderr, which is the server's, what went wrong with a job."""
    place = defect.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}" if place else ""
    with contextlib.suppress(OSError):
        line = f"jsched: job {job_id}: {type(defect).__name__}{where}: {defect}\n"
        os.write(2, line.encode(errors="backslashreplace"))
