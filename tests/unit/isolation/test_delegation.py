"""An ordinary user in a real cgroup of version 2 that was delegated to them, as systemd does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.isolation.cgroupfs import Cgroupfs
from jsched.isolation.hierarchy_v2 import CONTROLLERS
from jsched.linux.cgroups import cgroup_mounts
from tests.helpers.cgroups import ROOT

NOBODY = 65534

# A server of that user, and then the one after it: which finds itself where the first has moved to.
_SERVER = """
import json, os, sys, uuid
from jsched.isolation.cgroup import from_plan
from jsched.isolation.discovery import discover
from jsched.limits import Limits
from jsched.linux.cgroups import own_cgroups
from tests.helpers.cgroups import Monitor
answers = []
for _ in range(2):
    hierarchy = discover("jsched-x")
    if hierarchy.version == 0:
        sys.exit(hierarchy.reason)
    planned = hierarchy.plan(str(uuid.uuid4()), Limits(cpus=1, memory=64 << 20, pids=20))
    monitor = Monitor(planned.cgroup, "cat")
    cgroup = from_plan(planned.cgroup)
    inside = cgroup.processes() == [monitor.pid]
    killed = cgroup.kill_until_empty(30) and monitor.wait() == 247
    cgroup.remove()
    own = own_cgroups()[""]
    weight = int(hierarchy.fs.read(f"{own.lstrip('/')}/cpu.weight"))
    answers.append([own, weight, [str(one) for one in planned.unenforced], inside, killed, len(hierarchy.jobs())])
hierarchy.remove()
print(json.dumps(answers))
"""


@pytest.fixture
def delegated() -> Iterator[Path]:
    """A cgroup with all controllers, owned by nobody."""
    mounts = cgroup_mounts()
    if os.geteuid() != 0 or any(mount.controllers for mount in mounts):
        pytest.skip("root and cgroup v2 with controllers")
    point = next(mount.mount_point for mount in mounts if mount.version == 2)
    fs, name = Cgroupfs(point), f"jsched-delegated-{uuid.uuid4().hex[:8]}"
    for controller in set(CONTROLLERS) & set(fs.read("cgroup.controllers").split()):
        fs.write("cgroup.subtree_control", f"+{controller}")
    fs.make_directory(name)
    for file in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(fs.path(f"{name}/{file}".rstrip("/")), NOBODY, NOBODY)
    yield Path(fs.path(name))
    for directory in fs.below(name):
        fs.remove_directory(directory)


@pytest.fixture
def python() -> str:
    """An interpreter that nobody may execute, with the libraries that it needs."""
    test = "import sys, os; sys.exit(sys.version_info < (3, 11) or not os.access(sys.executable, os.X_OK))"
    for path in (sys.executable, "/usr/bin/python3"):
        command = ["setpriv", "--reuid", str(NOBODY), "--clear-groups", path, "-c", test]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return path
    pytest.skip("a Python 3.11 that every user may execute")


def run_in(cgroup: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run the servers as nobody in a cgroup."""
    # The process that becomes nobody is moved by root, as systemd does it.
    enter = f'echo $$ >{cgroup}/cgroup.procs && exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups "$@"'
    command = ["sh", "-c", enter, "sh", python, "-B", "-c", _SERVER]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


def test_delegated(delegated: Path, python: str) -> None:
    """The server moves into a leaf, and its jobs are limited, killed and removed without any privilege."""
    done = run_in(delegated, python)
    assert done.returncode == 0, done.stderr
    for own, weight, unenforced, inside, killed, left in json.loads(done.stdout):
        assert own == f"/{delegated.name}/jsched-x-own"
        # The server comes before all its jobs together, which have 100.
        assert (weight, unenforced, inside, killed, left) == (1000, [], True, True, 0)


def test_not_delegated(delegated: Path, python: str) -> None:
    """In a cgroup that is root's the reason is told, and nothing is made."""
    for file in ("", "cgroup.procs", "cgroup.subtree_control"):
        os.chown(delegated / file, 0, 0)
    done = run_in(delegated, python)
    assert done.returncode == 1
    assert "no cgroup is delegated to this user" in done.stderr
    assert not any(entry.is_dir() for entry in delegated.iterdir())
