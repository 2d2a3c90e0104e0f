"""Killing a monitor in the middle of a start, and finding out how far that had come."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jsched.linux import process
from jsched.supervisor.hanging import kill_monitor

# Who stands for a monitor has one child, which it does not wait for.
_CHILD = """
import os, sys
pid = os.fork()
if not pid:
    {child}
if {wait}:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
else:
    while os.readlink(f"/proc/{{pid}}/exe") == os.readlink("/proc/self/exe") and {executes}:
        pass
print(flush=True)
input()
"""


@contextmanager
def a_monitor(child: str, *, wait: bool = False, executes: bool = False) -> Iterator[tuple[int, int]]:
    """Run a process with a child that does something, and yield its pid and start time."""
    code = _CHILD.format(child=child, wait=wait, executes=executes)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as monitor:
        assert monitor.stdout is not None
        assert monitor.stdout.readline() == b"\n"
        yield monitor.pid, process.start_time(monitor.pid)


def test_a_command_that_is_not_executed() -> None:
    """As long as nobody has executed anything the command can't have run; all of it is gone afterwards."""
    with a_monitor("os.fork(); os.read(0, 1); os._exit(0)") as monitor:
        family = process.family(monitor[0])
        assert family
        assert kill_monitor(*monitor) is False
        assert not any(process.is_alive(*one) for one in [monitor, *family.items()])


@pytest.mark.parametrize(
    ("child", "options"),
    [
        pytest.param("os.execv('/bin/sleep', ['sleep', '1000'])", {"executes": True}, id="runs"),
        pytest.param("os.execv('/bin/true', ['true'])", {"wait": True}, id="has ended"),
        pytest.param("os._exit(0)", {"wait": True}, id="init has ended"),
    ],
)
def test_a_command_that_may_have_run(child: str, options: dict[str, bool]) -> None:
    """What was executed, or may have been by a process that has ended, is not told to have failed."""
    with a_monitor(child, **options) as monitor:
        family = process.family(monitor[0])
        assert kill_monitor(*monitor) is True
        assert not any(process.is_alive(*one) for one in [monitor, *family.items()])


def test_a_monitor_that_is_gone() -> None:
    """Of a monitor that has ended before nobody knows how far it had come, and nobody else is killed for it."""
    with subprocess.Popen(["sleep", "1000"]) as other:
        assert kill_monitor(other.pid, process.start_time(other.pid) + 1) is True
        assert other.poll() is None
        other.kill()
