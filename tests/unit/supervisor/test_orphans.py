"""What is left of a job whose monitor was killed."""

from __future__ import annotations

import os
import signal
import subprocess

from jsched.linux import process
from jsched.supervisor.orphans import kill_orphans
from tests.helpers.wait import wait_until
from tests.unit.supervisor.conftest import Bench
from tests.unit.supervisor.test_stop import DEAF, RUNAWAY


def test_orphans_of_a_killed_monitor(bench: Bench) -> None:
    """What outlived its monitor is killed and counted; a second look finds nothing."""

    async def test() -> None:
        run = await bench.launch("python3", "-c", RUNAWAY + DEAF)
        await bench.said(run, "runaway")
        await bench.said(run, "deaf")
        os.kill(run.monitor_pid, signal.SIGKILL)
        wait_until(lambda: len(bench.left(run)) == 1, 20, "the command's end")
        assert kill_orphans(run.job_id, run.monitor_start) == 1
        assert bench.left(run) == []
        assert kill_orphans(run.job_id, run.monitor_start) == 0

    bench.run(test())


def test_strangers_are_left_alone() -> None:
    """A process of another job, one without the variable, and one from before the start are not signalled."""
    variables = [{"JSCHED_JOB_ID": "other"}, {"JSCHED_JOB_ID": "mine-too"}, {"OTHER": "JSCHED_JOB_ID=mine"}]
    strangers = [subprocess.Popen(["sleep", "1000"], env=env) for env in variables]
    early = subprocess.Popen(["sleep", "1000"], env={"JSCHED_JOB_ID": "mine"})
    try:
        assert kill_orphans("mine", process.start_time(early.pid) + 1) == 0
        assert all(stranger.poll() is None for stranger in [*strangers, early])
        assert kill_orphans("mine", process.start_time(early.pid)) == 1
        assert early.wait(20) == -signal.SIGKILL
        assert all(stranger.poll() is None for stranger in strangers)
    finally:
        for one in [*strangers, early]:
            one.kill()
            one.wait()
