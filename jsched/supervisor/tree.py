"""Killing everything below this process, however it has forked away."""

from __future__ import annotations

import contextlib
import os
import signal

from jsched.linux import process

_PASSES = 64


def kill_tree(spared: int | None = None) -> None:
    """Send SIGKILL to all descendants of this process, which has to be a subreaper, or some may have left.

    A child that is `spared` is left alone, as it is none of the job's; it has no children of its own.

    They are stopped first, until a look shows nobody new: what is stopped does not fork. One
    that may not be signalled (a setuid program, for an ordinary user) is left alone. Returns
    before they are gone; they are to be waited for. Raises OSError if /proc can't be read.
    """
    own = os.getpid()
    children: set[int] = set() if spared is None else {spared}
    others: dict[int, int] = {}
    for _ in range(_PASSES):
        found = _stop_children(own, children)
        fresh = {
            pid: start for pid, start in process.family(own).items() if pid not in children and others.get(pid) != start
        }
        for pid, start in fresh.items():
            _send(pid, start, signal.SIGSTOP)
        others.update(fresh)
        if not found and not fresh:
            break
    for pid in children - {spared}:
        _send_child(pid, signal.SIGKILL)
    for pid, start in others.items():
        _send(pid, start, signal.SIGKILL)


def _stop_children(own: int, known: set[int]) -> bool:
    """Stop the children that are not yet known; return whether there were any.

    Who forks and ends at once, over and over, becomes our child each time, and lives shorter than
    a look through all of /proc takes; a look at our children is quick enough to catch it.
    """
    found = False
    while fresh := set(process.children(own)) - known:
        found = True
        for pid in fresh:
            _send_child(pid, signal.SIGSTOP)
        known |= fresh
    return found


def _send_child(pid: int, number: signal.Signals) -> None:
    # No one else can have the number while we have not reaped it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _send(pid: int, start: int, number: signal.Signals) -> None:
    pidfd = process.open_process(pid, start)
    if pidfd is None:
        return
    try:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)
