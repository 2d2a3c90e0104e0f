"""`jsched delegate`: what it refuses. What it does is seen in tests/integration/test_systemd.py."""

from __future__ import annotations

import os
import subprocess

import pytest

from jsched.linux.cgroups import cgroup_mounts
from tests.helpers.server import BIN
from tests.helpers.walled import needs_root


def delegate(*args: str, before: tuple[str, ...] = ()) -> str:
    """Run the command, which is to be refused, and return what it says."""
    command = [*before, str(BIN / "jsched"), "delegate", *args, "--", "echo", "executed"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done
    assert done.stdout == ""
    return done.stderr


@needs_root
def test_no_such_user() -> None:
    """A user whom nobody knows gets nothing, and the command is not executed."""
    assert delegate("--user", "nobody-knows") == "Error: there is no user 'nobody-knows'\nmake it, or name another\n"


@needs_root
def test_root() -> None:
    """Root as the user is refused: the command would keep every privilege."""
    assert delegate("--user", "root") == "Error: user 'root' is root, who needs no delegation\n"


@pytest.mark.skipif(
    not any({"cpu", "memory"} & set(mount.controllers) for mount in cgroup_mounts()),
    reason="cgroup controllers of version 1",
)
@needs_root
def test_version_1() -> None:
    """Where controllers are in hierarchies of version 1 it is refused, and the command is not executed as root."""
    assert "no cgroup hierarchy of version 2 with controllers" in delegate("--user", "daemon")


def test_ordinary_user() -> None:
    """Who is not root can't hand anything over."""
    # In a user namespace without a map everybody is nobody.
    nobody = ("unshare", "--user") if os.geteuid() == 0 else ()
    said = delegate("--user", "daemon", before=nobody)
    assert said == "Error: only root can hand a cgroup to another user\nrun it as root\n"
