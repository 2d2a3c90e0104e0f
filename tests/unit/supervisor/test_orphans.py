"""What is left of a job whose monitor was killed."""

from __future__ import annotations

import os
import signal
import subprocess

from jsched.linux import process
from jsched.supervisor.orphans import kill_orphans
from jsched.supervisor.record import RunRecord
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
        assert kill_orphans(run.job_id, run) == 2
        assert bench.left(run) == []
        assert kill_orphans(run.job_id, run) == 0
        assert not (bench.exits / run.job_id).exists()

    bench.run(test())


def test_command_with_another_environment(bench: Bench) -> None:
    """The command itself is found even if nothing in its environment tells whose it is."""

    async def test() -> None:
        run = await bench.launch("env", "-i", "sh", "-c", "echo up; exec sleep 1000")
        await bench.said(run, "up")
        wait_until(lambda: bench.left(run) == [], 20, "the new environment")
        os.kill(run.monitor_pid, signal.SIGKILL)
        assert kill_orphans(run.job_id, run) == 1
        assert run.pid is not None
        assert run.pid_start is not None
        assert not process.is_alive(run.pid, run.pid_start)

    bench.run(test())


def test_strangers_are_left_alone() -> None:
    """A process of another job, one without the variable, and one from before the start are not signalled."""
    variables = [{"JSCHED_JOB_ID": "other"}, {"JSCHED_JOB_ID": "mine-too"}, {"OTHER": "JSCHED_JOB_ID=mine"}]
    strangers = [subprocess.Popen(["sleep", "1000"], env=env) for env in variables]
    early = subprocess.Popen(["sleep", "1000"], env={"JSCHED_JOB_ID": "mine"})
    try:
        start = process.start_time(early.pid)
        # Nor is the process that has the command's number now.
        run = RunRecord("mine", process.boot_id(), 2**22 + 1, start + 1, 0, strangers[0].pid, start + 1000)
        assert kill_orphans("mine", run) == 0
        assert all(stranger.poll() is None for stranger in [*strangers, early])
        # Popen returns in the middle of exec, and the environment is among the last things to be there.
        wait_until(lambda: process.processes_with_environment(b"JSCHED_JOB_ID=mine"), 20, "its environment")
        assert kill_orphans("mine", run._replace(monitor_start=start)) == 1
        assert early.wait(20) == -signal.SIGKILL
        assert all(stranger.poll() is None for stranger in strangers)
    finally:
        for one in [*strangers, early]:
            one.kill()
            one.wait()
