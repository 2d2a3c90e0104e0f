"""A monitor that can't get out of its job's cgroup: no later job is counted there, and none is killed with it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.isolation.hierarchy import Hierarchy
from jsched.limits import NO_LIMITS
from jsched.linux import process
from jsched.supervisor import record, wire
from tests.helpers.hierarchy import own_hierarchy
from tests.helpers.walled import REPOSITORY
from tests.unit.supervisor.conftest import launch_request

# A real monitor, which the kernel seems to refuse every place but the job's own.
_CAUGHT = """
import errno, sys
from jsched.isolation import cgroup_v1, cgroup_v2
from jsched.supervisor import monitor

def only_inside(version):
    move = version._move_to

    def refuse(self, directory):
        if directory not in self.directories:
            raise OSError(errno.EACCES, 'as the test wants it', directory)
        move(self, directory)

    version._move_to = refuse

only_inside(cgroup_v1.CgroupV1)
only_inside(cgroup_v2.CgroupV2)
monitor.main(int(sys.argv[1]))
"""


@pytest.fixture
def hierarchy() -> Iterator[Hierarchy]:
    """A group of the test's own, which is gone afterwards with all in it."""
    with own_hierarchy() as hierarchy:
        yield hierarchy


def test_a_monitor_that_is_caught_ends(tmp_path: Path, hierarchy: Hierarchy) -> None:
    """The start fails with the step and errno, the command is killed, and the monitor ends without a word from us."""
    launch = launch_request(tmp_path, "sleep", "1000")
    job_id = launch.job_id
    launch = launch._replace(cgroup=hierarchy.plan(job_id, NO_LIMITS).cgroup)
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as answers:
        ours.settimeout(60)
        command = [sys.executable, "-c", _CAUGHT, str(theirs.fileno())]
        with subprocess.Popen(command, cwd=REPOSITORY, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as monitor:
            theirs.close()
            ours.sendall(wire.encode_request(launch))
            assert wire.decode_report(answers.readline()).monitor is not None
            report = wire.decode_report(answers.readline())
            assert (report.failed_step, report.errno) == ("cgroup", 13)
            # Our end is open: it has ended by itself.
            assert monitor.wait(60) == 0
            assert monitor.stderr is not None
            assert job_id.encode() in monitor.stderr.read()
    assert process.processes_with_environment(f"JSCHED_JOB_ID={job_id}".encode()) == []
    end = record.read_exit(tmp_path / "exits", job_id)
    assert end is not None
    assert (end.failed_step, end.errno) == ("cgroup", 13)
    assert hierarchy.sweep(()) == [job_id]
