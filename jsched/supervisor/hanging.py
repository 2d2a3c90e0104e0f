"""Ending a start that hangs, from outside: its monitor may wait for the kernel and hear nothing."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

from jsched.linux import process

# Who hangs in the kernel, and can't be killed there, ends when it comes back: nobody waits for that.
_PATIENCE = 2.0
_PASSES = 64


def kill_monitor(pid: int, start: int) -> bool:
    """Kill a monitor in the middle of a start, with all that is below it; return whether the command may have run.

    Blocks until they are gone, at most two seconds: one that the kernel holds for longer does nothing
    any more.
    """
    held: dict[tuple[int, int], int] = {}
    try:
        if not _hold(held, pid, start):
            return True
        # What is stopped does not fork; there is nobody left when a look shows nobody new.
        for _ in range(_PASSES):
            family = process.family(pid)
            if not [one for one in family.items() if one not in held and _hold(held, *one)]:
                break
        executed = any(_may_have_run(*one) for one in held if one != (pid, start))
        for pidfd in held.values():
            _send(pidfd, signal.SIGKILL)
        _wait(list(held.values()))
        return executed
    finally:
        for pidfd in held.values():
            os.close(pidfd)


def _hold(held: dict[tuple[int, int], int], pid: int, start: int) -> bool:
    """Stop a process and keep hold of it; return whether it was there."""
    pidfd = process.open_process(pid, start)
    if pidfd is None:
        return False
    held[pid, start] = pidfd
    _send(pidfd, signal.SIGSTOP)
    return True


def _may_have_run(pid: int, start: int) -> bool:
    try:
        # An init that has ended may have seen its command end before.
        return process.has_executed(pid, start) or not process.is_alive(pid, start)
    except ProcessLookupError:
        return True


def _send(pidfd: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, number)


def _wait(pidfds: list[int]) -> None:
    deadline = time.monotonic() + _PATIENCE
    poller = select.poll()
    left = set(pidfds)
    for pidfd in left:
        poller.register(pidfd, select.POLLIN)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for pidfd, _ in poller.poll(remaining * 1000):
            poller.unregister(pidfd)
            left.discard(pidfd)
