"""Killing everything below a process, however it has forked away."""

from __future__ import annotations

import contextlib
import os
import signal

from jsched.linux import process

_PASSES = 64


def kill_tree(root: int) -> None:
    """Send SIGKILL to all descendants of `root`, which has to be a subreaper, or some may have left.

    They are stopped first, until a look shows nobody new: what is stopped does not fork. One
    that may not be signalled (a setuid program, for an ordinary user) is left alone. Returns
    before they are gone; they are to be waited for. Raises OSError if /proc can't be read.
    """
    frozen: dict[int, int] = {}
    for _ in range(_PASSES):
        fresh = {pid: start for pid, start in process.family(root).items() if frozen.get(pid) != start}
        if not fresh:
            break
        for pid, start in fresh.items():
            _send(pid, start, signal.SIGSTOP)
        frozen.update(fresh)
    for pid, start in frozen.items():
        _send(pid, start, signal.SIGKILL)


def _send(pid: int, start: int, number: signal.Signals) -> None:
    pidfd = process.open_process(pid, start)
    if pidfd is None:
        return
    try:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)
