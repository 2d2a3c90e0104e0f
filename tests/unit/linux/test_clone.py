"""Children that are born in a cgroup of version 2."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from jsched.isolation.discovery import discover
from jsched.isolation.hierarchy import NoHierarchy
from jsched.linux import clone
from tests.helpers.cgroups import ROOT

# In a process of its own: one that has threads must not fork like this.
_PARENT = """
import os, sys
from jsched.linux.clone import fork_into
for _ in range(50):
    pid = fork_into(int(sys.argv[1]))
    if pid == 0:
        inside = "/" + sys.argv[2] + "\\n" in open("/proc/self/cgroup").read()
        # Memory, modules and descriptors are a fork's.
        import random
        os._exit(7 if inside and os.getppid() != 0 and random.random() < 1 else 1)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 7:
        sys.exit(1)
sys.exit(sys.argv[2] in open("/proc/self/cgroup").read())
"""


def test_born_inside() -> None:
    """Every child is in the cgroup and a whole Python process; the parent never is in it."""
    hierarchy = discover(f"jsched-test-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    if isinstance(hierarchy, NoHierarchy) or hierarchy.version == 1:
        if not isinstance(hierarchy, NoHierarchy):
            hierarchy.remove()
        pytest.skip("cgroup v2 with controllers")
    cgroup = hierarchy.cgroup(str(uuid.uuid4()))
    cgroup.make()
    fd = cgroup.into_fd()
    assert fd is not None
    try:
        command = [sys.executable, "-S", "-c", _PARENT, str(fd), cgroup.directories[0]]
        assert subprocess.run(command, cwd=ROOT, pass_fds=(fd,), timeout=100, check=False).returncode == 0
        cgroup.remove()
    finally:
        os.close(fd)
        hierarchy.sweep(())
        hierarchy.remove()


def test_no_cgroup(tmp_path: Path) -> None:
    """A descriptor of something else is refused, and no child is made."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError, match="clone3") as caught:
            clone.fork_into(fd)
    finally:
        os.close(fd)
    assert caught.value.errno == errno.EBADF
