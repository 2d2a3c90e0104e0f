"""Ending what is left of a job whose monitor was killed."""

from __future__ import annotations

import os
import select
import signal
import time

from jsched.linux import process

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 1.0
_PATIENCE = 30.0


def kill_orphans(job_id: str, not_before: int) -> int:
    """Kill every process that carries the job's JSCHED_JOB_ID in its environment; return how many.

    Processes that started before `not_before` (clock ticks since the boot: when the monitor did)
    are left alone, so are those that may not be signalled. Blocks until none is left, at most 30
    seconds. A process that has wiped its environment is not found.
    """
    entry = f"JSCHED_JOB_ID={job_id}".encode()
    killed: set[tuple[int, int]] = set()
    deadline = time.monotonic() + _PATIENCE
    pause = _FIRST_PAUSE
    while found := _since(process.processes_with_environment(entry), not_before):
        if time.monotonic() > deadline:
            break
        pidfds = {pidfd: key for key in found if (pidfd := process.open_process(*key)) is not None}
        killed.update(key for pidfd, key in pidfds.items() if _kill(pidfd))
        _wait(list(pidfds), pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
    return len(killed)


def _since(found: list[tuple[int, int]], not_before: int) -> list[tuple[int, int]]:
    own = os.getpid()
    return [(pid, start) for pid, start in found if start >= not_before and pid != own]


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
