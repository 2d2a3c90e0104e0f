"""The files by which monitor and server tell each other what must outlive them both.

runs/<id>    by the monitor before the command runs; or a claim by recovery, so that it never will
stops/<id>   by the server: end this job, with this much grace
exits/<id>   by the monitor when the job has ended

Each is a file of `record_file`.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from jsched.isolation.cgroup_plan import CgroupUsage, usage_from_json
from jsched.linux import process
from jsched.supervisor import record_file
from jsched.supervisor.record_file import Directory, Types


class RunRecord(NamedTuple):
    """A job that runs, or ran: who watches it and who it is.

    `monitor_start` and `pid_start` are in clock ticks since the boot, `started_at_ns` in
    nanoseconds since the epoch by the wall clock. The command is not known before it is
    executed, and stays unknown if its monitor is killed right then. `slot` is that of its id range.
    """

    job_id: str
    boot_id: str
    monitor_pid: int
    monitor_start: int
    started_at_ns: int
    pid: int | None = None
    pid_start: int | None = None
    slot: int | None = None


class ExitRecord(NamedTuple):
    """How a job ended: an exit code, a signal, or the step that kept it from starting.

    `stopped` and `timed_out` say what was being carried out when it ended, `forced` that SIGKILL
    was needed for its main process then. Times are nanoseconds since the epoch; `ended_at_ns` is
    the start plus the time that passed, so a jump of the clock does not falsify it. CPU time is
    in seconds. `max_rss` is in bytes, of the largest single process; it is never below what the
    monitor has, whose memory the process shares before exec, getrusage(2). `used` is what the job's
    cgroup has counted, if it had one.
    """

    job_id: str
    exit_code: int | None
    signal: int | None
    failed_step: str | None
    errno: int | None
    stopped: bool
    timed_out: bool
    forced: bool
    started_at_ns: int | None
    ended_at_ns: int
    cpu_user: float
    cpu_system: float
    max_rss: int
    used: CgroupUsage | None = None


_INTEGER = (int,)
_OPTIONAL_INTEGER = (int, type(None))
_RUN_TYPES: Types = {
    "job_id": (str,),
    "boot_id": (str,),
    "monitor_pid": _INTEGER,
    "monitor_start": _INTEGER,
    "started_at_ns": _INTEGER,
    "pid": _OPTIONAL_INTEGER,
    "pid_start": _OPTIONAL_INTEGER,
    "slot": _OPTIONAL_INTEGER,
}
_EXIT_TYPES: Types = {
    "job_id": (str,),
    "exit_code": _OPTIONAL_INTEGER,
    "signal": _OPTIONAL_INTEGER,
    "failed_step": (str, type(None)),
    "errno": _OPTIONAL_INTEGER,
    "stopped": (bool,),
    "timed_out": (bool,),
    "forced": (bool,),
    "started_at_ns": _OPTIONAL_INTEGER,
    "ended_at_ns": _INTEGER,
    "cpu_user": (int, float),
    "cpu_system": (int, float),
    "max_rss": _INTEGER,
    "used": (list, type(None)),
}


def write_run(runs_dir: Directory, record: RunRecord) -> None:
    """Say that a job is about to run; raises FileExistsError if its id is taken or claimed, else OSError."""
    record_file.write_once(runs_dir, record.job_id, record._asdict())


def update_run(runs_dir: Directory, record: RunRecord) -> None:
    """Write a run record again, with the command in it; raises OSError."""
    record_file.write(runs_dir, record.job_id, record._asdict())


def read_run(runs_dir: Directory, job_id: str) -> RunRecord | None:
    """Return the job's run record; None if there is none, no whole one, or a claim."""
    fields = record_file.read(runs_dir, job_id, _RUN_TYPES)
    return None if fields is None else RunRecord(**fields)


def write_claim(runs_dir: Directory, job_id: str) -> None:
    """Take the place of the job's run record; raises FileExistsError if it is taken, else OSError.

    It has to stand for as long as a monitor may still come, which is until the host restarts:
    a launcher that outlived its server may be as late as it likes.
    """
    record_file.write_once(runs_dir, job_id, {"job_id": job_id, "claimed": True, "boot_id": process.boot_id()})


def read_claim(runs_dir: Directory, job_id: str) -> str | None:
    """Return the id of the boot in which the job's place was claimed; None if it was not."""
    fields = record_file.read(runs_dir, job_id, {"job_id": (str,), "claimed": (bool,), "boot_id": (str,)})
    return None if fields is None else str(fields["boot_id"])


def claim_run(runs_dir: Directory, job_id: str) -> bool:
    """Make sure that no monitor starts this job from now on; False if one already has.

    True too if the place was claimed before, or holds no whole record. Raises OSError.
    """
    try:
        write_claim(runs_dir, job_id)
    except FileExistsError:
        return read_run(runs_dir, job_id) is None
    return True


def write_exit(exits_dir: Directory, record: ExitRecord) -> None:
    """Say how a job ended: visible at once, on disk after sync_exit(); raises OSError."""
    record_file.write(exits_dir, record.job_id, record._asdict())


def write_exit_into(fd: int, exits_dir: Directory, record: ExitRecord) -> None:
    """Say how a job ended, in a file that was opened ahead and has no name yet; raises OSError."""
    record_file.write_into(fd, exits_dir, record.job_id, record._asdict())


def sync_exit(exits_dir: Directory, job_id: str) -> None:
    """Bring an exit record to the disk if it is still there; raises OSError.

    If it is not, a server has taken it over: its database is synced before it removes the
    record, and then there is nothing left to sync.
    """
    try:
        fd = os.open(record_file.path(exits_dir, job_id), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    directory = os.open(exits_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
        os.fsync(directory)
    finally:
        os.close(fd)
        os.close(directory)


def read_exit(exits_dir: Directory, job_id: str) -> ExitRecord | None:
    """Return how the job ended; None if there is no record, or no whole one that says so."""
    fields = record_file.read(exits_dir, job_id, _EXIT_TYPES)
    if fields is None:
        return None
    used = fields.pop("used")
    record = ExitRecord(**fields, used=used and usage_from_json(used))
    return record if _tells_an_end(record) else None


def write_stop(stops_dir: Directory, job_id: str, grace: float) -> None:
    """Ask for the job's end with `grace` seconds between SIGTERM and SIGKILL; raises OSError."""
    record_file.write(stops_dir, job_id, {"job_id": job_id, "grace": grace})


def read_stop(stops_dir: Directory, job_id: str) -> float | None:
    """Return the grace in seconds of the stop that was asked for; None if none was."""
    fields = record_file.read(stops_dir, job_id, {"job_id": (str,), "grace": (int, float)})
    return None if fields is None else float(fields["grace"])


def forget_stop(stops_dir: Directory, job_id: str) -> None:
    """Remove the request for the job's end; what is not there is no error. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(record_file.path(stops_dir, job_id))


def forget(runs_dir: Directory, exits_dir: Directory, stops_dir: Directory, job_id: str) -> None:
    """Remove what is written about the job; what is not there is no error. Raises OSError."""
    for directory in (runs_dir, exits_dir, stops_dir):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(record_file.path(directory, job_id))


def _tells_an_end(record: ExitRecord) -> bool:
    """Return whether there is one outcome, and one that the kernel can give."""
    outcomes = [value for value in (record.exit_code, record.signal, record.failed_step) if value is not None]
    if len(outcomes) != 1 or (record.failed_step is None) != (record.errno is None):
        return False
    return (record.exit_code or 0) < 256 and 0 < (record.signal or 1) < 128 and (record.errno or 0) < 4096
