"""What the files say about jobs that were running when the last server went away.

The survey only reads, except where it must decide a race: it takes the place of a run
record that is not there, so that a monitor which comes late starts nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jsched.config import Config
from jsched.ending import HOST_RESTARTED, LOST, Ending, from_record
from jsched.linux import file_attributes, process
from jsched.resources import Resources
from jsched.store import JobRecord
from jsched.store.rows import to_microseconds
from jsched.supervisor import orphans, record
from jsched.supervisor.record import RunRecord

_LOG = logging.getLogger(__name__)
_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """The job was written down, nothing of it was started, and nothing will be: its place is claimed."""


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The monitor is there; `pidfd` refers to it."""

    run: RunRecord
    pidfd: int


Finding = NeverStarted | StillRunning | Ending


def survey(config: Config, resources: Resources, job: JobRecord) -> Finding:
    """Find out what became of a job that the store believes to be live; blocking."""
    job_id = job.job.id
    exit_record = record.read_exit(config.exits_dir, job_id)
    if exit_record is not None:
        return from_record(exit_record)
    run = _stored_run(job) or record.read_run(config.runs_dir, job_id)
    if run is None and job.boot_id not in (None, process.boot_id()):
        # Its start may have been acknowledged: the row is on the disk sooner than what came after it.
        _release_log(config, job_id)
        return HOST_RESTARTED
    if run is None:
        if record.claim_run(config.runs_dir, job_id):
            return _unwatched(config, resources, job_id)
        return survey(config, resources, job)
    if run.boot_id != process.boot_id():
        _release_log(config, job_id)
        return HOST_RESTARTED
    pidfd = _open_monitor(run)
    if pidfd is not None:
        return StillRunning(run, pidfd)
    exit_record = record.read_exit(config.exits_dir, job_id)
    return from_record(exit_record) if exit_record is not None else lost(config, resources, job_id, run)


def _open_monitor(run: RunRecord) -> int | None:
    # Whatever a file says, neither the first process nor this one watches a job.
    if run.monitor_pid in (1, os.getpid()):
        return None
    return process.open_process(run.monitor_pid, run.monitor_start)


def lost(config: Config, resources: Resources, job_id: str, run: RunRecord | None) -> Ending:
    """Return the ending of a job whose monitor left no exit record, after killing what is left of it; blocking."""
    # All that is in the cgroup; what was never in one is found by other marks.
    resources.end(job_id)
    killed = orphans.kill_orphans(job_id, run)
    _release_log(config, job_id)
    _LOG.warning("job %s: its monitor is gone and left no record; %d processes killed one by one", job_id, killed)
    return LOST


def _release_log(config: Config, job_id: str) -> None:
    """Do what its monitor would have done with the log of a job that has ended."""
    with contextlib.suppress(OSError):
        file_attributes.release(config.log_path(job_id))


def sweep(config: Config, resources: Resources, live: Iterable[str]) -> None:
    """Remove what a crash left behind for jobs that are not live; blocking.

    Claims stay until the host restarts: who knows when the monitor comes that they are for.
    """
    keep, boot = set(live), process.boot_id()
    resources.sweep(keep)
    for directory in (config.exits_dir, config.runs_dir, config.stops_dir):
        for path in directory.iterdir():
            job_id = _JOB_ID.search(path.name)
            if job_id is None:
                continue
            if job_id.group() in keep:
                # Only in exits/ another process may be about to give such a file its name.
                keep_it = path.name == job_id.group() or directory == config.exits_dir
            else:
                keep_it = directory == config.runs_dir and path.name == job_id.group() and _claimed_in(boot, path)
            if not keep_it:
                _remove(path)


def exit_records(directory: Path) -> list[str]:
    """Return the ids of the jobs that have exit records; blocking."""
    return [path.name for path in directory.iterdir() if _JOB_ID.fullmatch(path.name)]


def _unwatched(config: Config, resources: Resources, job_id: str) -> Finding:
    """Return what is to be thought of a job without a run record, whose place is taken now."""
    if record.read_claim(config.runs_dir, job_id) is not None:
        return NeverStarted()
    # A monitor had taken it, and what it wrote is damaged: it may have run.
    return lost(config, resources, job_id, None)


def _claimed_in(boot: str, path: Path) -> bool:
    return record.read_claim(path.parent, path.name) == boot


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("%s can't be removed: %s", path, error.strerror)


def _stored_run(job: JobRecord) -> RunRecord | None:
    """Return what an earlier server has found to be true of the monitor, and so comes before any file."""
    if job.monitor_pid is None:
        return None
    started = to_microseconds(job.job.started_at or job.job.created_at) or 0
    return RunRecord(
        job_id=job.job.id,
        boot_id=job.boot_id or "",
        monitor_pid=job.monitor_pid,
        monitor_start=job.monitor_start or 0,
        pid=job.job.pid,
        pid_start=job.pid_start,
        slot=job.slot,
        started_at_ns=started * 1000,
    )
