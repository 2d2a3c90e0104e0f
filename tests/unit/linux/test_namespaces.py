"""Processes that are born in namespaces of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PRELUDE = """
import os, signal
from jsched.linux import namespaces as ns
from jsched.linux.namespaces import fork_into, unshare, write_id_maps

def in_child(flags, action, before=lambda pid: None, **options):
    read, write = os.pipe()
    gate, opener = os.pipe()
    pid = fork_into(flags, **options)
    if pid == 0:
        try:
            os.close(opener)
            os.read(gate, 1)
            os.write(write, repr(action()).encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    before(pid)
    os.write(opener, b'.')
    print(os.read(read, 4096).decode())
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _user_namespaces() -> bool:
    code = "fork_into(ns.CLONE_NEWUSER) or os._exit(0)"
    return subprocess.run([sys.executable, "-c", PRELUDE + code], capture_output=True, timeout=60).returncode == 0


needs_user_namespaces = pytest.mark.skipif(not _user_namespaces(), reason="no user namespaces")


def test_a_plain_fork() -> None:
    """Without flags it is fork(2): another process, that can be waited for, and that Python runs in."""
    assert run("me = os.getpid()\nin_child(0, lambda: (os.getppid() == me, sum(range(10))))") == ["(True, 45)", "0"]


@needs_user_namespaces
def test_a_pid_namespace_in_a_user_namespace() -> None:
    """The child is PID 1, has no parent in sight, and is who the map says; an ordinary user can do that."""
    code = """
uid, gid = os.geteuid(), os.getegid()
maps = lambda pid: write_id_maps(pid, [(7, uid, 1)], [(8, gid, 1)])
in_child(ns.CLONE_NEWUSER | ns.CLONE_NEWPID, lambda: (os.getpid(), os.getppid(), os.getuid(), os.getgid()), maps)
"""
    assert run(code) == ["(1, 0, 7, 8)", "0"]


@needs_root
def test_a_range_of_ids() -> None:
    """Root maps a range, and then the child can be any of those users and no other."""
    code = """
def become():
    os.setgroups([])
    os.setresgid(5, 5, 5)
    os.setresuid(9, 9, 9)
    try:
        os.chown('/proc/self', 10, 10)
    except OSError as error:
        return os.getuid(), os.getgid(), error.errno
in_child(ns.CLONE_NEWUSER, become, lambda pid: write_id_maps(pid, [(0, 70000, 10)], [(0, 80000, 10)]))
"""
    assert run(code)[0].startswith("(9, 5, ")


def test_without_clone3_there_is_clone() -> None:
    """Where clone3 is hidden, as container engines do, the older call does the same; but not into a cgroup."""
    code = """
import errno
def hidden(*arguments):
    raise OSError(errno.ENOSYS, 'clone3')
ns._clone3 = hidden
in_child(0, lambda: 1)
try:
    fork_into(0, cgroup=0)
except OSError as error:
    print(errno.errorcode[error.errno])
"""
    assert run(code) == ["1", "0", "ENOSYS"]


@needs_root
def test_unshare() -> None:
    """A process can go into a namespace itself; its host name is its own then."""
    code = """
import socket
from jsched.linux.host import set_hostname
unshare(ns.CLONE_NEWUTS)
set_hostname('jsched-test')
print(socket.gethostname())
"""
    before = socket.gethostname()
    assert run(code) == ["jsched-test"]
    assert socket.gethostname() == before


def test_errors_name_the_call() -> None:
    """A refused call is an OSError with its name."""
    code = """
try:
    unshare(1)
except OSError as error:
    print(error)
try:
    fork_into(ns.CLONE_NEWNS | 0x200)
except OSError as error:
    print(error)
"""
    assert run(code) == ["[Errno 22] unshare: Invalid argument", "[Errno 22] clone3: Invalid argument"]


@needs_root
def test_loopback() -> None:
    """The loopback interface of a new network namespace is down, and then it is up."""
    code = """
import socket
from jsched.linux.host import raise_loopback
unshare(ns.CLONE_NEWNET)
server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen()
try:
    socket.create_connection(server.getsockname(), timeout=5)
except OSError as error:
    print(error.strerror)
raise_loopback()
socket.create_connection(server.getsockname(), timeout=5)
print('up')
"""
    assert run(code) == ["Network is unreachable", "up"]
