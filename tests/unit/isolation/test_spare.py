"""An init that waits: it is used once, fits one sandbox, and is never left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.linux import process
from tests.helpers.wait import wait_until
from tests.helpers.walled import REPOSITORY, make_sandbox, needs_root

pytestmark = needs_root

PRELUDE = """
import json, os, signal, sys, time
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.spare import Spare
from jsched.isolation.init_process import StepFailed
from jsched.linux import syscalls
syscalls.block_all_signals()
sandbox = Sandbox.from_fields(json.loads(sys.argv[1]))
log = os.open('/dev/null', os.O_WRONLY)

def descriptors():
    return sorted(os.listdir('/proc/self/fd'))
"""


def run(code: str) -> str:
    command = [sys.executable, "-c", PRELUDE + code, json.dumps(make_sandbox())]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_that_is_not_wanted_is_gone_and_leaves_no_descriptor() -> None:
    """close() ends and reaps it, and the monitor has the descriptors that it had."""
    code = """
before = descriptors()
spare = Spare(sandbox)
spare.close()
print(os.path.exists(f'/proc/{spare.pid}'), descriptors() == before)
"""
    assert run(code) == "False True\n"


def test_a_used_one_leaves_no_descriptor() -> None:
    """After the status is taken the monitor has the descriptors that it had."""
    code = """
before = descriptors()
started = Spare(sandbox).start(Command(('true',), {'PATH': '/bin:/usr/bin'}), log)
started.wait_until_started()
print(started.take_status(os.waitpid(started.pid, 0)[1]), descriptors() == before)
"""
    assert run(code) == "0 True\n"


def test_a_killed_one_can_not_be_used() -> None:
    """Handing a command to one that is gone is an OSError, so that another can be forked in its place."""
    code = """
spare = Spare(sandbox)
os.kill(spare.pid, signal.SIGKILL)
os.waitpid(spare.pid, 0)
try:
    spare.start(Command(('true',), {}), log)
except OSError as error:
    print(type(error).__name__)
spare.close()
"""
    assert run(code) in ("BrokenPipeError\n", "ConnectionResetError\n")


def test_a_wall_that_fails_is_told_when_the_command_comes() -> None:
    """A spare whose walls can't be built says which, or is gone when its command comes."""
    code = """
spare = Spare(sandbox._replace(hostname='x' * 65))
try:
    started = spare.start(Command(('true',), {}), log)
    started.wait_until_started()
except StepFailed as failure:
    print(failure.step, failure.number)
except OSError:
    print('hostname 22')
"""
    assert run(code) == "hostname 22\n"


def test_walls_are_tried() -> None:
    """Trying them says that they stand, or which does not and why, and leaves nothing."""
    code = """
from jsched.isolation.spare import try_walls
before = descriptors()
print(try_walls(sandbox))
print(try_walls(sandbox._replace(hostname='x' * 65)))
print(try_walls(sandbox._replace(seccomp='/nowhere')))
print(descriptors() == before)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print('no child')
"""
    assert run(code) == "None\n('hostname', 22)\n('seccomp', 2)\nTrue\nno child\n"


def test_it_fits_its_own_sandbox_until_the_host_mounts_something(tmp_path: Path) -> None:
    """Another sandbox does not fit, and nothing fits when the host's mounts have changed."""
    code = f"""
import subprocess
from jsched.isolation.forker_process import Forker
forker = Forker(sandbox)
print(forker.fits(sandbox), forker.fits(sandbox._replace(uid=1)))
subprocess.run(['mount', '-t', 'tmpfs', 'jsched-test', {str(tmp_path)!r}], check=True)
subprocess.run(['umount', {str(tmp_path)!r}], check=True)
print(forker.fits(sandbox))
forker.close()
"""
    assert run(code) == "True False\nFalse\n"


@pytest.mark.parametrize("seconds", [0, 0.05], ids=["while it builds", "while it waits"])
def test_it_ends_with_its_monitor(seconds: float) -> None:
    """A spare whose monitor ends is gone, whether its walls are up or not."""
    pid = int(run(f"spare = Spare(sandbox)\ntime.sleep({seconds})\nprint(spare.pid, flush=True)\nos._exit(0)\n"))
    wait_until(lambda: _has_ended(pid), 20, "the end of the spare")


def _has_ended(pid: int) -> bool:
    try:
        return not process.is_alive(pid, process.start_time(pid))
    except ProcessLookupError:
        return True
