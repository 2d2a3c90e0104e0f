"""The thin wrappers do what their calls do; each runs in a process of its own where it changes it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.linux import syscalls


def _in_a_process(code: str) -> str:
    prelude = "import os, signal, time\nfrom jsched.linux import syscalls\n"
    done = subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_subreaper() -> None:
    """An orphaned grandchild becomes the subreaper's child."""
    code = (
        "syscalls.prctl_set_child_subreaper()\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    pid = os.fork()\n"
        "    if pid: os.write(write, str(pid).encode())\n"
        "    os._exit(0)\n"
        "os.close(write)\n"
        "grandchild = int(os.read(read, 20))\n"
        "print({os.wait()[0], os.wait()[0]} >= {grandchild})\n"
    )
    assert _in_a_process(code) == "True\n"


def test_pdeathsig() -> None:
    """A child with a parent-death signal gets it when its parent ends."""
    code = (
        "syscalls.prctl_set_child_subreaper()\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        syscalls.prctl_set_pdeathsig(signal.SIGUSR1)\n"
        "        os.write(write, b'.')\n"
        "        time.sleep(1000)\n"
        "    os.read(read, 1)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(os.WTERMSIG(os.wait()[1]) == signal.SIGUSR1)\n"
    )
    assert _in_a_process(code) == "True\n"


def test_name() -> None:
    """The name is what /proc shows, cut at 15 bytes."""
    assert _in_a_process("syscalls.prctl_set_name('jsched-something-long')\nprint(open('/proc/self/comm').read())") == (
        "jsched-somethin\n\n"
    )


def test_close_range() -> None:
    """Exactly the range is closed, both ends included; an empty range closes nothing."""
    code = (
        "fds = [os.dup2(0, number) for number in (20, 21, 22, 23)]\n"
        "syscalls.close_range(23, 22)\n"
        "syscalls.close_range(21, 22)\n"
        "print([n for n in fds if os.path.exists(f'/proc/self/fd/{n}')])\n"
        "syscalls.close_range(3, syscalls.LAST_DESCRIPTOR)\n"
        "print([n for n in fds if os.path.exists(f'/proc/self/fd/{n}')])\n"
    )
    assert _in_a_process(code) == "[20, 23]\n[]\n"


def test_errors_name_the_call() -> None:
    """A call that fails raises OSError with its errno and its name."""
    with pytest.raises(OSError, match="PR_SET_PDEATHSIG") as failure:
        syscalls.prctl_set_pdeathsig(9999)
    assert failure.value.errno == errno.EINVAL


def test_signalfd() -> None:
    """Blocked signals are read from the descriptor, which is close-on-exec and does not block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
    fd = syscalls.signalfd({signal.SIGUSR1, signal.SIGUSR2})
    try:
        assert not os.get_inheritable(fd)
        assert syscalls.read_signalfd(fd) == []
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR2)
        assert sorted(syscalls.read_signalfd(fd)) == [signal.SIGUSR1, signal.SIGUSR2]
        assert syscalls.read_signalfd(fd) == []
    finally:
        os.close(fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_rt_sigaction_default() -> None:
    """An ignored signal has its default action again, also one that sigaction() does not touch."""
    code = (
        "import ctypes, sys\n"
        "ignore = (1).to_bytes(ctypes.sizeof(ctypes.c_long), sys.byteorder) + bytes(24)\n"
        "def ignored():\n"
        "    [line] = [line for line in open('/proc/self/status') if line.startswith('SigIgn')]\n"
        "    return bool(int(line.split()[1], 16) & 1 << 31)\n"
        "ctypes.CDLL(None).syscall(syscalls._SYS_RT_SIGACTION, 32, ignore, None, 8)\n"
        "before = ignored()\n"
        "syscalls.rt_sigaction_default(32)\n"
        "print(before, ignored())\n"
    )
    assert _in_a_process(code) == "True False\n"


def test_syncfs(tmp_path: Path) -> None:
    """A file system is synced by the descriptor of anything on it; what is none is an error that names the call."""
    fd = os.open(tmp_path, os.O_RDONLY)
    syscalls.syncfs(fd)
    os.close(fd)
    with pytest.raises(OSError, match="syncfs"):
        syscalls.syncfs(-1)
