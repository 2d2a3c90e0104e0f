"""What left-behind files are taken to mean, one case at a time."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jsched import datadir, recovery
from jsched.config import Config
from jsched.ending import HOST_RESTARTED, LOST, from_record
from jsched.isolation.hierarchy import NoHierarchy
from jsched.job import Job, JobSpec
from jsched.linux import process
from jsched.recovery import Finding, NeverStarted, StillRunning
from jsched.resources import Resources
from jsched.state import JobState
from jsched.store import JobRecord
from jsched.supervisor import record
from jsched.supervisor.record import ExitRecord, RunRecord
from tests.helpers.wait import wait_until

OTHER_BOOT = "11111111-1111-4111-8111-111111111111"


NOTHING = Resources(Config(Path("/nowhere"), Path("/nowhere")), NoHierarchy("no cgroups in this test"))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(tmp_path / "data", tmp_path / "logs")
    os.close(datadir.prepare(config))
    return config


@pytest.fixture
def sleeper() -> Iterator[tuple[int, int]]:
    """A process that lives: its pid and start time."""
    with subprocess.Popen(["sleep", "1000"]) as one:
        yield one.pid, process.start_time(one.pid)
        assert one.poll() is None, "a process that is no job's was signalled"
        one.kill()


def row(job_id: str = "", state: JobState = JobState.PENDING, **who: Any) -> JobRecord:
    """Return a job as the store has it; `who` is its boot_id, monitor_pid and monitor_start."""
    job_id = job_id or str(uuid.uuid4())
    job = Job(job_id, JobSpec(["true"]), "alice", state, created_at=datetime.now(UTC), log_path="/logs/x")
    return JobRecord(1, job, who.get("boot_id"), who.get("monitor_pid"), who.get("monitor_start"), None)


def run_of(job: JobRecord, pid: int, start: int, boot: str = "") -> RunRecord:
    return RunRecord(job.job.id, boot or process.boot_id(), pid, start, 10**18)


def exit_of(job: JobRecord) -> ExitRecord:
    return ExitRecord(job.job.id, 3, None, None, None, False, False, False, 10**18, 10**18 + 1, 0.0, 0.0, 0)


def survey(config: Config, job: JobRecord) -> Finding:
    """Survey a job, and close what was opened for it."""
    finding = recovery.survey(config, NOTHING, job)
    if isinstance(finding, StillRunning):
        os.close(finding.pidfd)
    return finding


def test_nothing_was_started(config: Config) -> None:
    """A pending job without a run record was never started, and never will be; a second look says so too."""
    job = row()
    assert survey(config, job) == NeverStarted()
    with pytest.raises(FileExistsError):
        record.write_run(config.runs_dir, run_of(job, 1, 1))
    assert survey(config, job) == NeverStarted()


def test_it_has_ended(config: Config, sleeper: tuple[int, int]) -> None:
    """An exit record is the end, whatever else is there."""
    job = row()
    record.write_run(config.runs_dir, run_of(job, *sleeper))
    record.write_exit(config.exits_dir, exit_of(job))
    assert survey(config, job) == from_record(exit_of(job))


def test_it_runs(config: Config, sleeper: tuple[int, int]) -> None:
    """A monitor whose pid, start time and boot are those of the record is there, by file or by row."""
    job = row()
    record.write_run(config.runs_dir, run_of(job, *sleeper))
    finding = recovery.survey(config, NOTHING, job)
    assert isinstance(finding, StillRunning)
    assert finding.run == run_of(job, *sleeper)
    # It is that process which the descriptor stands for: signal 0 is sent to nobody else.
    signal.pidfd_send_signal(finding.pidfd, 0)
    assert not process.has_ended(finding.pidfd)
    os.close(finding.pidfd)
    pid, start = sleeper
    known = row(state=JobState.RUNNING, boot_id=process.boot_id(), monitor_pid=pid, monitor_start=start)
    assert isinstance(survey(config, known), StillRunning)


@pytest.mark.parametrize("offset", [-1, 1])
def test_a_recycled_pid(config: Config, sleeper: tuple[int, int], offset: int) -> None:
    """A process with the monitor's pid and another start time is somebody else."""
    pid, start = sleeper
    job = row()
    record.write_run(config.runs_dir, run_of(job, pid, start + offset))
    assert survey(config, job) == LOST


def test_another_boot(config: Config, sleeper: tuple[int, int]) -> None:
    """After a restart of the host nothing runs any more, whoever has the pid now."""
    job = row()
    record.write_run(config.runs_dir, run_of(job, *sleeper, boot=OTHER_BOOT))
    assert survey(config, job) == HOST_RESTARTED
    pid, start = sleeper
    known = row(state=JobState.RUNNING, boot_id=OTHER_BOOT, monitor_pid=pid, monitor_start=start)
    assert survey(config, known) == HOST_RESTARTED


@pytest.mark.parametrize("pid", [0, 1, pytest.param(os.getpid(), id="own"), 2**22 + 1, 2**31, 2**40, 2**63 - 1])
def test_pids_that_no_monitor_has(config: Config, pid: int) -> None:
    """The first process, this one, and numbers that no process has watch no job, start time or not."""
    start = process.start_time(pid) if pid in (1, os.getpid()) else 1
    job = row()
    record.write_run(config.runs_dir, run_of(job, pid, start))
    assert survey(config, job) == LOST


def test_the_row_comes_first(config: Config, sleeper: tuple[int, int]) -> None:
    """Who watches a job that is known to run is not changed by a file."""
    pid, start = sleeper
    job = row(state=JobState.RUNNING, boot_id=process.boot_id(), monitor_pid=pid, monitor_start=start)
    record.write_run(config.runs_dir, run_of(job, os.getppid(), process.start_time(os.getppid())))
    finding = survey(config, job)
    assert isinstance(finding, StillRunning)
    assert finding.run.monitor_pid == pid


def test_a_damaged_run_record(config: Config) -> None:
    """A place that is taken by something unreadable may have been a job's: lost, not forgotten."""
    job = row()
    (config.runs_dir / job.job.id).write_bytes(b"{")
    assert survey(config, job) == LOST


def test_an_end_while_we_look(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that writes its record and ends between two looks has not been lost."""
    job = row()
    record.write_run(config.runs_dir, run_of(job, 2**22 + 1, 1))

    def gone(pid: int, start: int) -> int | None:
        record.write_exit(config.exits_dir, exit_of(job))
        return None

    monkeypatch.setattr(process, "open_process", gone)
    assert survey(config, job) == from_record(exit_of(job))


def test_orphans_are_killed(config: Config) -> None:
    """What carries the id of a job whose monitor is gone is killed, if it is not older than the monitor."""
    job = row()
    with subprocess.Popen(["sleep", "1000"], env={"JSCHED_JOB_ID": job.job.id}) as orphan:
        seen = f"JSCHED_JOB_ID={job.job.id}".encode()
        # Popen returns in the middle of exec, and the environment is among the last things to be there.
        wait_until(functools.partial(process.processes_with_environment, seen), 20, "its environment")
        start = process.start_time(orphan.pid)
        assert recovery.lost(config, NOTHING, job.job.id, run_of(job, 2**22 + 1, start + 1)) == LOST
        assert orphan.poll() is None
        assert recovery.lost(config, NOTHING, job.job.id, run_of(job, 2**22 + 1, start)) == LOST
        assert orphan.wait(20) == -signal.SIGKILL


def test_a_clock_that_was_set_back(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Orphans are found however the wall clock was set since the start."""
    job = row()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    with subprocess.Popen(["sleep", "1000"], env={"JSCHED_JOB_ID": job.job.id}) as orphan:
        seen = f"JSCHED_JOB_ID={job.job.id}".encode()
        # Popen returns in the middle of exec, and the environment is among the last things to be there.
        wait_until(functools.partial(process.processes_with_environment, seen), 20, "its environment")
        record.write_run(config.runs_dir, run_of(job, 2**22 + 1, process.start_time(orphan.pid)))
        assert survey(config, job) == LOST
        assert orphan.wait(20) == -signal.SIGKILL


def test_sweeping(config: Config) -> None:
    """Files of jobs that are not live go, those of live ones stay, and so does what is none of ours."""
    live, gone = (str(uuid.uuid4()) for _ in range(2))
    for directory in (config.runs_dir, config.exits_dir, config.stops_dir):
        for name in (live, gone, f".{live}.1.2", f".{gone}.1.2", "strange", ".hidden", f"{gone}x"):
            (directory / name).write_bytes(b"x")
        (directory / str(uuid.uuid4())).mkdir()
    recovery.sweep(config, NOTHING, [live])
    for directory in (config.runs_dir, config.exits_dir, config.stops_dir):
        # A monitor may be about to rename its temporary file; in the others only a crash leaves one.
        kept = {live, "strange", ".hidden"} | ({f".{live}.1.2"} if directory == config.exits_dir else set())
        assert {path.name for path in directory.iterdir() if path.is_file()} == kept


def test_claims_stay_until_the_host_restarts(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim outlives the start it is for, as nobody knows when a late monitor comes; after a boot none does."""
    job_id = str(uuid.uuid4())
    record.write_claim(config.runs_dir, job_id)
    recovery.sweep(config, NOTHING, [])
    assert record.read_claim(config.runs_dir, job_id) == process.boot_id()
    monkeypatch.setattr(process, "boot_id", lambda: OTHER_BOOT)
    recovery.sweep(config, NOTHING, [])
    assert list(config.runs_dir.iterdir()) == []


def test_which_exit_records_there_are(config: Config) -> None:
    """Only names that are whole job ids are those of records."""
    job_id = str(uuid.uuid4())
    for name in (job_id, job_id.upper(), f".{job_id}.1.2", f"{job_id}x", "strange"):
        (config.exits_dir / name).touch()
    assert recovery.exit_records(config.exits_dir) == [job_id]
