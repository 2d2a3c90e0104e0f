"""A command is born in the cgroup that it belongs to, at once or through a spare init."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.walled import REPOSITORY, make_sandbox, needs_root

pytestmark = needs_root

UNIFIED = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "pids", "memory")


@pytest.fixture
def cgroup() -> Iterator[list[Path]]:
    """A cgroup of version 1 for some controllers."""
    roots = [Path("/sys/fs/cgroup") / name for name in CONTROLLERS]
    if not all((root / "tasks").exists() for root in roots):
        pytest.skip("no cgroup controllers of version 1")
    directories = [root / f"jsched-test-{uuid.uuid4().hex[:12]}" for root in roots]
    for directory in directories:
        directory.mkdir()
    yield directories
    for directory in directories:
        directory.rmdir()


@pytest.fixture
def unified() -> Iterator[Path]:
    """A cgroup of version 2, with controllers or without."""
    found = next((root for root in (UNIFIED, UNIFIED / "unified") if (root / "cgroup.controllers").exists()), None)
    if found is None:
        pytest.skip("no cgroup hierarchy of version 2")
    directory = found / f"jsched-test-{uuid.uuid4().hex[:12]}"
    directory.mkdir()
    yield directory
    directory.rmdir()


def test_init_is_born_in_a_cgroup_of_version_2(unified: Path, tmp_path: Path) -> None:
    """Given a descriptor of its directory, init and the command are inside, and it looks like the root to them."""
    code = f"""
import json, os, sys
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.start import start
from jsched.linux import syscalls
syscalls.block_all_signals()
sandbox = Sandbox.from_fields(json.loads(sys.argv[1]))
log = os.open({str(tmp_path / "log")!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
directory = os.open({str(unified)!r}, os.O_RDONLY)
script = 'grep ^0: /proc/self/cgroup; exec sleep 1000'
started = start(sandbox, Command(('/bin/sh', '-c', script), {{'PATH': '/bin:/usr/bin'}}), log, cgroup=directory)
started.wait_until_started()
inside = [int(pid) for pid in open({str(unified)!r} + '/cgroup.procs').read().split()]
print(started.pid in inside, len(inside) >= 2, os.getpid() in inside)
while not os.path.getsize({str(tmp_path / "log")!r}):
    os.sched_yield()
os.kill(started.pid, 9)
os.waitpid(started.pid, 0)
"""
    command = [sys.executable, "-c", code, json.dumps(make_sandbox())]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True True False\n", done.stderr
    assert (tmp_path / "log").read_text() == "0::/\n"


@pytest.mark.parametrize("spare", [False, True], ids=["at once", "spare"])
def test_the_command_is_in_its_cgroup_and_the_monitor_is_not(cgroup: list[Path], tmp_path: Path, spare: bool) -> None:
    """Init and the command are inside from the command's first instruction on; the monitor never is."""
    code = f"""
import json, os, sys, time
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.spare import Spare
from jsched.isolation.start import start
from jsched.linux import syscalls
syscalls.block_all_signals()
sandbox = Sandbox.from_fields(json.loads(sys.argv[1]))
log = os.open({str(tmp_path / "log")!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
directories = {[str(path) for path in cgroup]!r}
tasks = [os.open(path + '/tasks', os.O_WRONLY) for path in directories]
command = Command(('/bin/sh', '-c', 'cat /proc/self/cgroup; kill -STOP $$; true'), {{'PATH': '/bin:/usr/bin'}})
started = Spare(sandbox).start(command, log, tasks=tasks) if {spare} else start(sandbox, command, log, tasks=tasks)
def states():
    for pid in open(directories[0] + '/tasks').read().split():
        try:
            yield open(f'/proc/{{pid}}/stat').read().rpartition(')')[2].split()[0]
        except OSError:
            pass
while 'T' not in states():
    time.sleep(0.002)
inside = [sorted(map(int, open(path + '/tasks').read().split())) for path in directories]
print(all(len(pids) == 2 and started.pid in pids and os.getpid() not in pids for pids in inside))
os.kill(started.pid, 9)
os.waitpid(started.pid, 0)
"""
    command = [sys.executable, "-c", code, json.dumps(make_sandbox())]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True\n", done.stderr
    seen = {line.split(":")[1]: line.split(":")[2] for line in (tmp_path / "log").read_text().splitlines()}
    if not spare:
        # The root of the job's cgroup namespace is the job's cgroup.
        assert {seen[name] for name in CONTROLLERS} == {"/"}
