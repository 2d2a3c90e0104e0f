"""Trying walls from a process that has threads, and so can't fork init itself: in another process.

A trial has three ends: the walls stand, the kernel refuses one, or there is no answer. The last says nothing
of the kernel, and so is no reason to build weaker walls.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jsched.errors import Unavailable
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.spare import try_walls

# All trials together take less than a service manager waits for a start.
_WITHIN = 15.0
# Seconds before each further trial.
_PAUSES = (0.2, 1.0)

# What a kernel says that forbids something, or does not have it. Shortages are not among them.
_REFUSALS = frozenset(
    {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENODEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EUSERS}
)
# What is hidden are directories: that one can't be reached is no word on the walls.
_NO_REFUSAL_OF = frozenset({"hide", "hide-kernel"})
# Where ENOSPC is a limit on namespaces, clone(2) and unshare(2).
_LIMITED = frozenset({"clone", "cgroup-namespace"})
_LIMITS = Path("/proc/sys/user")

_HINT = (
    "the kernel has refused nothing, so weaker walls would be wrong: see what ended, delayed or disturbed the trial "
    "(memory, limits on processes and namespaces, an administrator), and start again"
)


class _NoAnswer(Exception):
    """A trial says nothing of the walls; the text is what happened instead."""


def try_walls_apart(sandbox: Sandbox) -> tuple[str, int] | None:
    """Build the walls in a process of their own; return the step that is refused and its errno, None if all stand.

    Takes about a tenth of a second. Raises Unavailable if some trials one after the other had no answer.
    """
    for pause in (*_PAUSES, None):
        try:
            return _try_once(sandbox)
        except _NoAnswer as reason:
            if pause is None:
                raise Unavailable(
                    f"the walls around jobs were tried {len(_PAUSES) + 1} times without an answer: {reason}",
                    obj="isolation",
                    hint=_HINT,
                ) from reason
            time.sleep(pause)
    raise AssertionError("the last trial returns or raises")


def _try_once(sandbox: Sandbox) -> tuple[str, int] | None:
    command = [sys.executable, "-m", "jsched.isolation.trial", sandbox.encode()]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_WITHIN, check=False)
    except subprocess.TimeoutExpired:
        raise _NoAnswer(f"no answer within {_WITHIN:.0f} seconds") from None
    except OSError as error:
        raise _NoAnswer(f"no process for it: {error.strerror}") from error
    if done.returncode < 0:
        raise _NoAnswer(f"the trial was killed, {_name(-done.returncode)}")
    try:
        result = json.loads(done.stdout)
        failure = None if result is None else (str(result[0]), int(result[1]))
    except (ValueError, TypeError, LookupError):
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _NoAnswer(f"the trial ended with {done.returncode} and said {last!r}") from None
    if failure is not None and not _is_refusal(*failure):
        what = "a directory that is to be hidden from jobs: " if failure[0] in _NO_REFUSAL_OF else ""
        raise _NoAnswer(f"{what}{failure[0]}: {os.strerror(failure[1])}")
    return failure


def _is_refusal(step: str, number: int) -> bool:
    if number == errno.ENOSPC and step in _LIMITED:
        # A limit of 0 is a refusal; one that others have used up passes.
        return any(_reads_zero(path) for path in _LIMITS.glob("max_*_namespaces"))
    return number in _REFUSALS and step not in _NO_REFUSAL_OF


def _reads_zero(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.read_text("ascii").strip() == "0"
    return False


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if __name__ == "__main__":
    print(json.dumps(try_walls(Sandbox.decode(sys.argv[1]))))
