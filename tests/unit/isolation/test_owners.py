"""The helper that a writable bind needs for a moment: a process that is a user namespace, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from jsched.linux import process
from tests.helpers.wait import wait_until
from tests.helpers.walled import REPOSITORY, needs_root
from tests.unit.supervisor.conftest import alive

# A process in the monitor's place, with its signals blocked, a secret open, and the helper as its child.
_MONITOR = """
import os, sys
from jsched.isolation import owners
from jsched.linux import syscalls
syscalls.block_all_signals()
secret = os.open("/etc/hostname", os.O_RDONLY)
monitor = os.getpid()
pid = os.fork()
if pid == 0:
    owners._sit(monitor)
print(pid, flush=True)
sys.stdin.read()
"""
_ORPHAN = """
import os
from jsched.isolation import owners
pid = os.fork()
if pid == 0:
    owners._sit(os.getppid() + 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
_NAMESPACE = """
import os
from jsched.isolation import owners
from jsched.isolation.sandbox import IdRange
from jsched.linux import process
fd = owners._user_namespace(IdRange(4321, 310_000, 1), IdRange(4322, 320_000, 1))
print(os.readlink(f"/proc/self/fd/{fd}") != os.readlink("/proc/self/ns/user"), os.get_inheritable(fd))
print(process.children(os.getpid()))
if os.fork() == 0:
    import ctypes
    assert ctypes.CDLL(None).setns(fd, 0x10000000) == 0
    print(*(open(f"/proc/self/{name}").read().split() for name in ("uid_map", "gid_map")), flush=True)
    os._exit(0)
os.wait()
"""


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def printed(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def helper() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A monitor with its helper, which holds nothing any more."""
    with start(_MONITOR) as monitor:
        assert monitor.stdout is not None
        pid = int(monitor.stdout.readline())
        wait_until(lambda: os.listdir(f"/proc/{pid}/fd") == [], 30, "a helper without descriptors")
        yield monitor, pid
        monitor.kill()


def test_it_ends_with_a_monitor_that_is_killed(helper: tuple[subprocess.Popen[str], int]) -> None:
    """Holding no descriptor it hears of nothing, and yet is not left behind when the monitor is killed."""
    monitor, pid = helper
    begun = process.start_time(pid)
    assert alive(pid, begun)
    monitor.kill()
    wait_until(lambda: not alive(pid, begun), 30, "the helper's end")


def test_nothing_but_its_end_is_heard(helper: tuple[subprocess.Popen[str], int]) -> None:
    """Signals that it inherits blocked do not end it, and SIGKILL, which is how the monitor ends it, does."""
    _, pid = helper
    begun = process.start_time(pid)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(pid, number)
    assert alive(pid, begun)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid, begun), 30, "the helper's end")


def test_a_monitor_that_was_gone_before_is_noticed() -> None:
    """A helper whose parent is no longer the monitor when it looks ends at once."""
    assert printed(_ORPHAN) == ["0"]


@needs_root
def test_the_namespace_outlives_its_helper() -> None:
    """The descriptor is of a namespace with the two maps, close-on-exec, and nobody was left to hold it."""
    other, children, maps = printed(_NAMESPACE)
    assert (other, children) == ("True False", "[]")
    assert maps == "['4321', '310000', '1'] ['4322', '320000', '1']"
