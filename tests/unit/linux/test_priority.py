"""Nice values: of a process that starts others, and of its session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.privileges import CAP_SYS_NICE, needs_capability

_PROCESS = """
import json, os, sys
from jsched.linux import priority
def session():
    with open("/proc/self/autogroup") as file:
        return int(file.read().split()[-1])
def in_child(seen):
    parent, child = os.pipe()
    if os.fork() == 0:
        os.write(child, json.dumps(seen()).encode())
        os._exit(0)
    return json.loads(os.read(parent, 100))
def in_new_session():
    os.setsid()
    return [priority.nice(), session()]
def given():
    priority.set_nice(7)
    priority.set_session_nice(7)
    return [priority.nice(), session(), *in_child(in_new_session)]
# Not the session that the tests run in: what was never given one, a machine's first process say, has no autogroup.
os.setsid()
print(json.dumps(given() if sys.argv[1] == "leader" else in_child(given)))
"""


def _seen_by(process: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", _PROCESS, process], stdout=subprocess.PIPE, check=True)
    return list(json.loads(done.stdout))


needs_autogroups = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="a kernel with CONFIG_SCHED_AUTOGROUP"
)


@needs_autogroups
def test_of_a_session() -> None:
    """The leader's session has the nice value, a session that its child makes has 0 again; the child's own stays."""
    assert _seen_by("leader") == [7, 7, 7, 0]


@needs_autogroups
def test_of_somebody_elses_session() -> None:
    """A process that leads no session changes its own nice value, and its session's not."""
    assert _seen_by("child of the leader") == [7, 0, 7, 0]


@pytest.mark.skipif(os.geteuid() != 0, reason="root, who may become another user")
def test_of_an_ordinary_user() -> None:
    """Who may not come before others gets a PermissionError, for the process and for its session."""
    script = (
        "import os\nfrom jsched.linux import priority\nos.setuid(65534)\n"
        "for call in (priority.set_nice, priority.set_session_nice):\n"
        "    try:\n        call(-1)\n    except PermissionError:\n        print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, start_new_session=True)
    assert done.stdout.split() == [b"refused"] * (2 if Path("/proc/self/autogroup").exists() else 1)


@needs_capability(CAP_SYS_NICE, "CAP_SYS_NICE")
def test_giving_up_precedence() -> None:
    """A nice value below 0 becomes 0, one above stays."""
    script = (
        "from jsched.linux import priority\n"
        "for value in (-10, 0, 5):\n"
        "    priority.set_nice(value)\n    priority.give_up_precedence()\n    print(priority.nice())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"0", b"0", b"5"]
