"""Processes that are born in a cgroup as a monitor has them born, and how a test sees that they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from jsched.isolation.cgroup import Cgroup
from jsched.isolation.cgroup_plan import CgroupPlan

ROOT = Path(__file__).parents[2]

# What a monitor does: it has one thread, enters, spawns, leaves and waits.
_MONITOR = """
import json, os, sys
from jsched.isolation.cgroup import from_plan
from jsched.isolation.cgroup_plan import plan_from_json
cgroup = from_plan(plan_from_json(json.loads(sys.argv[1])))
cgroup.make()
cgroup.enter()
try:
    pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
finally:
    cgroup.leave()
print(pid, flush=True)
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""


def is_there(cgroup: Cgroup) -> bool:
    """Return whether it has been made and not been removed, or not all of it."""
    return any(cgroup.fs.has(directory) for directory in cgroup.directories)


class Monitor:
    """A process that has started a command in the cgroup of `plan`, and waits for it.

    The command's standard input is a pipe that stays open until `wait`.
    """

    def __init__(self, plan: CgroupPlan, *argv: str) -> None:
        # Nothing of site-packages is needed, and in a slow guest it would take a second to look at.
        command = [sys.executable, "-S", "-c", _MONITOR, json.dumps(plan), *argv]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the monitor could not start {argv[0]}: exit code {self.process.wait()}"
        self.pid = int(line)

    def wait(self, timeout: float = 60.0) -> int:
        """Return the command's exit code, 256 less the signal for one that was killed."""
        with self.process:
            return self.process.wait(timeout)


def cgroups_of(pid: int | str) -> dict[str, str]:
    """Return where a process is, by the controllers of each hierarchy."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
