"""Ending what is left of a job whose monitor was killed."""

from __future__ import annotations

import os
import select
import signal
import time

from jsched.linux import process
from jsched.supervisor.record import RunRecord

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 1.0
_PATIENCE = 30.0


def kill_orphans(job_id: str, run: RunRecord | None) -> int:
    """Kill the job's command and every process that carries its JSCHED_JOB_ID in its environment; return how many.

    Processes that started before the job's monitor are left alone, so are those that may not be
    signalled. Blocks until none is left, at most 30 seconds. A descendant of the command that
    has wiped its environment is not found.
    """
    killed: set[tuple[int, int]] = set()
    deadline = time.monotonic() + _PATIENCE
    pause = _FIRST_PAUSE
    while found := _left(job_id, run):
        if time.monotonic() > deadline:
            break
        pidfds = {pidfd: key for key in found if (pidfd := process.open_process(*key)) is not None}
        killed.update(key for pidfd, key in pidfds.items() if _kill(pidfd))
        _wait(list(pidfds), pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return len(killed)


def _left(job_id: str, run: RunRecord | None) -> set[tuple[int, int]]:
    """Return pid and start time of the processes that are left."""
    own = os.getpid()
    not_before = 0 if run is None else run.monitor_start
    marked = process.processes_with_environment(f"JSCHED_JOB_ID={job_id}".encode())
    found = {(pid, start) for pid, start in marked if start >= not_before and pid != own}
    if (
        run is not None
        and run.pid is not None
        and run.pid_start is not None
        and process.is_alive(run.pid, run.pid_start)
    ):
        found.add((run.pid, run.pid_start))
    return found


def _kill(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _wait(pidfds: list[int], seconds: float) -> None:
    """Wait until the first of the processes has ended, or so many seconds have passed; close the pidfds."""
    poller = select.poll()
    for pidfd in pidfds:
        poller.register(pidfd, select.POLLIN)
    poller.poll(seconds * 1000)
    for pidfd in pidfds:
        os.close(pidfd)
