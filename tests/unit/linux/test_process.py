"""Processes told apart by pid and start time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid

import pytest

from jsched.linux import process
from tests.helpers.wait import wait_until


@pytest.fixture
def sleeper() -> object:
    with subprocess.Popen(["sleep", "1000"], env={"MARK": uuid.uuid4().hex}) as running:
        yield running
        running.kill()


def test_boot_id() -> None:
    """The boot id is a UUID and stays the same."""
    assert str(uuid.UUID(process.boot_id())) == process.boot_id()


def test_start_time(sleeper: subprocess.Popen[bytes]) -> None:
    """The start time, in ticks since the boot, is a moment ago."""
    seconds = process.start_time(sleeper.pid) / os.sysconf("SC_CLK_TCK")
    assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - seconds < 60


def test_has_executed(sleeper: subprocess.Popen[bytes]) -> None:
    """A program was executed by who has called exec, and not by who was only forked, ended or not."""
    assert process.has_executed(sleeper.pid, process.start_time(sleeper.pid))
    code = (
        "import os, subprocess, sys\n"
        "pids = [os.fork()]\n"
        "if not pids[0]: os.read(0, 1); os._exit(0)\n"
        "pids.append(os.fork())\n"
        "if not pids[1]: os._exit(0)\n"
        "pids.append(subprocess.Popen(['true']).pid)\n"
        "for pid in pids[1:]: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\n"
        "print(*pids, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert [process.has_executed(pid, process.start_time(pid)) for pid in pids] == [False, False, True]
        with pytest.raises(ProcessLookupError):
            process.has_executed(pids[0], process.start_time(pids[0]) + 1)
        parent.kill()


def test_start_time_of_a_strange_name() -> None:
    """A process name with spaces and parentheses does not shift the fields."""
    code = "open('/proc/self/comm', 'w').write(') R 1 (x y)'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        started = process.start_time(running.pid)
        running.stdout.readline()
        assert process.start_time(running.pid) == started
        assert running.pid in process.family(os.getpid())
        running.kill()


def test_no_such_process(sleeper: subprocess.Popen[bytes]) -> None:
    """A process that was reaped has no start time and can't be opened."""
    started = process.start_time(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(ProcessLookupError):
        process.start_time(sleeper.pid)
    assert process.open_process(sleeper.pid, started) is None


def test_open_process(sleeper: subprocess.Popen[bytes]) -> None:
    """Only with the right start time is a process opened; the pidfd tells of its end; none is leaked."""
    started = process.start_time(sleeper.pid)
    before = len(os.listdir("/proc/self/fd"))
    assert process.open_process(sleeper.pid, started + 1) is None
    assert len(os.listdir("/proc/self/fd")) == before
    pidfd = process.open_process(sleeper.pid, started)
    assert pidfd is not None
    assert not process.has_ended(pidfd)
    sleeper.kill()
    wait_until(lambda: process.has_ended(pidfd), 20, "the end")
    os.close(pidfd)


def test_family() -> None:
    """Children and grandchildren are found, ended ones that nobody reaped too; strangers are not."""
    with subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000; :"], start_new_session=True) as shell:
        wait_until(lambda: len(process.family(shell.pid)) == 2, 20, "the children")
        assert shell.pid in process.family(os.getpid())
        assert not process.family(shell.pid).keys() & {shell.pid, os.getpid(), 1}
        os.killpg(shell.pid, 9)


def test_processes_with_environment(sleeper: subprocess.Popen[bytes]) -> None:
    """A process is found by one whole entry of its environment, not by a part of one."""
    with open(f"/proc/{sleeper.pid}/environ", "rb") as file:
        wait_until(lambda: file.seek(0) == 0 and b"MARK=" in file.read(), 20, "exec")
        file.seek(0)
        entry = next(entry for entry in file.read().split(b"\0") if entry.startswith(b"MARK="))
    assert process.processes_with_environment(entry) == [(sleeper.pid, process.start_time(sleeper.pid))]
    assert process.processes_with_environment(entry[:-1]) == []
