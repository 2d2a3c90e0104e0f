"""What the files say about jobs that were running when the last server went away.

The survey only reads, except where it must decide a race: it takes the place of a run
record that is not there, so that a monitor which comes late starts nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jsched.config import Config
from jsched.ending import HOST_RESTARTED, LOST, Ending, from_record
from jsched.linux import process
from jsched.store import JobRecord
from jsched.store.rows import to_microseconds
from jsched.supervisor import orphans, record
from jsched.supervisor.record import RunRecord

_LOG = logging.getLogger(__name__)
_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """The job was written down and nothing of it was started."""


@dataclass(frozen=True, slots=True)
class StillRunning:
    """The monitor is there; `pidfd` refers to it."""

    run: RunRecord
    pidfd: int


Finding = NeverStarted | StillRunning | Ending


def survey(config: Config, job: JobRecord) -> Finding:
    """Find out what became of a job that the store believes to be live; blocking."""
    job_id = job.job.id
    exit_record = record.read_exit(config.exits_dir, job_id)
    if exit_record is not None:
        return from_record(exit_record)
    run = _run_record(config, job)
    if run is None:
        return NeverStarted()
    if run.boot_id != process.boot_id():
        return HOST_RESTARTED
    pidfd = process.open_process(run.monitor_pid, run.monitor_start)
    if pidfd is not None:
        return StillRunning(run, pidfd)
    exit_record = record.read_exit(config.exits_dir, job_id)
    return from_record(exit_record) if exit_record is not None else lost(job_id, run)


def lost(job_id: str, run: RunRecord) -> Ending:
    """Return the ending of a job whose monitor left no record, after killing what is left of it; blocking."""
    killed = orphans.kill_orphans(job_id, run.started_at_ns)
    _LOG.warning("job %s: its monitor is gone and left no record; %d processes killed", job_id, killed)
    return LOST


def sweep(config: Config, live: Iterable[str]) -> None:
    """Remove what a crash left behind for jobs that are not live; blocking."""
    keep = set(live)
    for directory in (config.exits_dir, config.runs_dir, config.stops_dir):
        for path in directory.iterdir():
            job_id = _JOB_ID.search(path.name)
            if job_id is not None and job_id.group() not in keep:
                path.unlink(missing_ok=True)


def exit_records(directory: Path) -> list[str]:
    """Return the ids of the jobs that have exit records; blocking."""
    return [path.name for path in directory.iterdir() if _JOB_ID.fullmatch(path.name)]


def _run_record(config: Config, job: JobRecord) -> RunRecord | None:
    run = record.read_run(config.runs_dir, job.job.id)
    if run is None and job.monitor_pid is not None:
        return _stored_run(job)
    if run is None and record.claim_run(config.runs_dir, job.job.id):
        return None
    return run or record.read_run(config.runs_dir, job.job.id)


def _stored_run(job: JobRecord) -> RunRecord:
    started = to_microseconds(job.job.started_at or job.job.created_at) or 0
    return RunRecord(
        job_id=job.job.id,
        boot_id=job.boot_id or "",
        monitor_pid=job.monitor_pid or 0,
        monitor_start=job.monitor_start or 0,
        pid=job.job.pid or 0,
        started_at_ns=started * 1000,
    )
