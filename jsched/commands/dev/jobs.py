"""The jobs of the development server, as the files tell: they run whether or not a server does."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from jsched.commands.dev.places import Places
from jsched.errors import Unavailable
from jsched.linux import process
from jsched.supervisor import record
from jsched.supervisor.record import RunRecord

_GRACE_SECONDS = 2.0
_END_SECONDS = 15.0


def running(places: Places) -> list[RunRecord]:
    """Return the jobs of this directory that run."""
    boot = process.boot_id()
    try:
        names = sorted(path.name for path in _runs(places).iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    runs = (record.read_run(_runs(places), name) for name in names)
    return [run for run in runs if run and run.boot_id == boot and process.is_alive(run.monitor_pid, run.monitor_start)]


def end(places: Places, jobs: list[RunRecord]) -> None:
    """End jobs and return once their process trees are gone: SIGTERM, and SIGKILL two seconds later.

    It is their monitors that do it, so no server is needed. Raises Unavailable if one of them
    is still there after 15 seconds.
    """
    stops = places.data / "stops"
    monitors = {}
    for job in jobs:
        pidfd = process.open_process(job.monitor_pid, job.monitor_start)
        if pidfd is not None:
            monitors[pidfd] = job
            record.write_stop(stops, job.job_id, _GRACE_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    try:
        for pidfd, job in monitors.items():
            if not select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Unavailable(
                    f"job {job.job_id} has not ended {_END_SECONDS:.0f} seconds after it was asked to",
                    obj=job.job_id,
                    hint=f"its monitor is process {job.monitor_pid}",
                )
    finally:
        for pidfd in monitors:
            os.close(pidfd)


def count(number: int) -> str:
    """Return a number of jobs in words."""
    return "1 job" if number == 1 else f"{number} jobs"


def _runs(places: Places) -> Path:
    return places.data / "runs"
