"""Files and rows that nobody of jsched has written: no stranger is signalled, nothing hangs, nothing is believed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from binascii import crc32
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jsched.job import Exited, Job, JobSpec, Lost, Reason
from jsched.linux import process
from jsched.state import JobState
from jsched.supervisor import record
from jsched.supervisor.record import ExitRecord, RunRecord
from tests.helpers.aftermath import DEADLINE, add_row, assert_nothing_left, in_background, left_files
from tests.helpers.feed import Feed
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

# Says that it is ready; says which signal it gets, of those that can be had; ends with its stdin.
STRANGER = """
import os, signal, sys
def note(number, frame):
    os.write(1, b"signal %d\\n" % number)
for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, note)
os.write(1, b"ready\\n")
while os.read(0, 1):
    pass
"""


class Stranger:
    """A process that has nothing to do with jsched, and notes what is done to it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", STRANGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        self.pid = self._process.pid
        self.start_time = process.start_time(self.pid)

    def end(self) -> tuple[int, bytes]:
        """Let it end by itself; return its exit code and what it has noted."""
        noted, _ = self._process.communicate(timeout=DEADLINE)
        return self._process.returncode, noted


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    stranger = Stranger()
    yield stranger
    assert stranger.end() == (0, b"")


def run_of(stranger: Stranger, job_id: str, **changes: Any) -> RunRecord:
    run = RunRecord(
        job_id, process.boot_id(), stranger.pid, stranger.start_time, 0, stranger.pid, stranger.start_time - 1
    )
    return run._replace(**changes)


def write_run(server: Server, run: RunRecord) -> None:
    """Write a run record, of which there may be one already."""
    (server.data_dir / "runs" / run.job_id).unlink(missing_ok=True)
    record.write_run(server.data_dir / "runs", run)


def write_raw(path: Path, body: bytes) -> None:
    """Write a file whose checksum is right, whatever else is wrong."""
    path.write_bytes(b"%s\ncrc32 %08x\n" % (body, crc32(body)))


def test_monitors_that_are_somebody_else(server: Server, stranger: Stranger) -> None:
    """A pid with another start time or of another boot, and pids that no monitor has, are never signalled."""
    boot = process.boot_id()
    # Pid, start time, boot, and whether the boot is this one.
    claims = {
        "recycled": (stranger.pid, stranger.start_time - 1, boot),
        "later": (stranger.pid, stranger.start_time + 1, boot),
        "other boot": (stranger.pid, stranger.start_time, "11111111-1111-4111-8111-111111111111"),
        "init": (1, process.start_time(1), boot),
        "nobody": (0, 0, boot),
        "too large": (2**40, 1, boot),
    }
    assert server.terminate() == 0
    jobs = {}
    for name, (pid, start, its_boot) in claims.items():
        # By a row that says so, and by a file for a row that says nothing.
        known = add_row(server, monitor_pid=pid, monitor_start=start, boot_id=its_boot, pid=stranger.pid)
        fresh = add_row(server, state="pending")
        write_run(server, RunRecord(fresh, its_boot, pid, start, 0, stranger.pid, stranger.start_time - 1))
        # A stop that was asked for would be signalled to a monitor that was believed in.
        for job_id in (known, fresh):
            record.write_stop(server.data_dir / "stops", job_id, 0)
            jobs[job_id] = name
    server.start()
    client = server.client()
    for job_id, name in jobs.items():
        job = client.wait(job_id)
        assert client.stop(job_id, 0).already_ended
        if name == "other boot":
            assert (job.state, job.reason) == (JobState.TERMINATED, Reason.HOST_RESTART), name
        else:
            assert (job.state, job.outcome) == (JobState.UNKNOWN, Lost()), name
    assert_nothing_left(server)


def test_the_database_comes_before_a_file(server: Server, stranger: Stranger) -> None:
    """A run record that names another process than the one that the server has seen start changes nothing."""
    client = server.client()
    job = client.start(JobSpec(("sleep", "1000")))
    server.kill()
    write_run(server, run_of(stranger, job.id))
    server.start()
    assert client.get(job.id).state is JobState.RUNNING
    assert in_background(client.stop, job.id).result(DEADLINE).job.state is JobState.STOPPED
    assert_nothing_left(server)


def test_orphans_are_told_by_more_than_a_variable(server: Server, stranger: Stranger) -> None:
    """What carries a lost job's id but is older than its monitor is left alone."""
    assert server.terminate() == 0
    job_id = add_row(server)
    with subprocess.Popen(["sleep", "1000"], env={"JSCHED_JOB_ID": job_id}) as older:
        try:
            start = process.start_time(older.pid) + 1
            write_run(server, run_of(stranger, job_id, monitor_start=start))
            server.start()
            assert server.client().wait(job_id).state is JobState.UNKNOWN
            assert older.poll() is None
        finally:
            older.kill()


def exit_record(own_id: str, **changes: Any) -> dict[str, Any]:
    fields = ExitRecord(own_id, 0, None, None, None, False, False, False, 10**18, 10**18 + 1, 0.0, 0.0, 0)._asdict()
    return {**fields, **changes}


def garble(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 9)


def forge_checksum(path: Path) -> None:
    path.write_bytes(json.dumps(exit_record(path.name)).encode() + b"\ncrc32 00000000\n")


def a_half(path: Path) -> None:
    record.write_exit(path.parent, ExitRecord(**exit_record(path.name)))
    path.write_bytes(path.read_bytes()[:-20])


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def nested(path: Path) -> None:
    write_raw(path, b"[" * 60000 + b"]" * 60000)


def linked(path: Path) -> None:
    whole = path.parent.parent / "elsewhere" / path.name
    whole.parent.mkdir(exist_ok=True)
    record.write_exit(whole.parent, ExitRecord(**exit_record(path.name)))
    path.symlink_to(whole)


def fields(**changes: Any) -> Callable[[Path], None]:
    return lambda path: write_raw(path, json.dumps(exit_record(path.name, **changes)).encode())


WRONG: dict[str, Callable[[Path], None]] = {
    "empty": Path.touch,
    "half": a_half,
    "garbled": garble,
    "not JSON": lambda path: write_raw(path, b"{'job_id': 1}"),
    "wrong checksum": forge_checksum,
    "huge": huge,
    "nested": nested,
    "link": linked,
    "dangling link": lambda path: path.symlink_to("/nowhere/at/all"),
    "endless link": lambda path: path.symlink_to("/dev/zero"),
    "FIFO": os.mkfifo,
    "directory": Path.mkdir,
    "another job's": fields(job_id="00000000-0000-4000-8000-000000000000"),
    "no outcome": fields(exit_code=None),
    "two outcomes": fields(signal=9),
    "impossible code": fields(exit_code=256),
    "impossible signal": fields(exit_code=None, signal=2**31),
    "step without errno": fields(exit_code=None, failed_step="exec"),
    "end of all time": fields(ended_at_ns=10**30),
    "before all time": fields(ended_at_ns=-1),
    "no number": fields(cpu_user=float("nan")),
    "endless": fields(cpu_system=float("inf")),
}


def test_exit_records_that_are_none(server: Server, stranger: Stranger) -> None:
    """What is no whole exit record of this job hangs nobody, is not believed, and is removed if it can be."""
    assert server.terminate() == 0
    jobs = {}
    for name, make in WRONG.items():
        job_id = add_row(server, boot_id=process.boot_id(), monitor_pid=stranger.pid, monitor_start=1)
        make(server.data_dir / "exits" / job_id)
        jobs[job_id] = name
    server.start()
    client = server.client()
    for job_id, name in jobs.items():
        job = client.wait(job_id)
        assert (job.state, job.outcome, job.ended_at) == (JobState.UNKNOWN, Lost(), None), name
    directory = next(job_id for job_id, name in jobs.items() if name == "directory")
    wait_until(lambda: left_files(server) == {f"exits/{directory}"}, DEADLINE, "the removal of the rest")


def test_exit_records_that_come_while_the_server_runs(server: Server, feed: Feed) -> None:
    """A wrong record that appears for a running job leaves it running, and its own record is believed."""
    client = server.client()
    job = client.start(JobSpec(("sh", "-c", f"cat {feed.path}; exit 6")))
    exits = server.data_dir / "exits"
    other = server.root / "other"
    other.mkdir()
    for make in WRONG.values():
        made = other / job.id
        make(made)
        with contextlib.suppress(OSError):
            # Renamed, as a monitor does it: that is what rings the server.
            os.rename(made, exits / job.id)
        remove(made)
        assert client.get(job.id).state is JobState.RUNNING
        remove(exits / job.id)
    feed.end()
    assert client.wait(job.id).outcome == Exited(6)
    assert_nothing_left(server)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def test_run_records_that_are_none(server: Server) -> None:
    """A damaged run record says that the job may have run: it is UNKNOWN, not forgotten, and not looked for further."""
    assert server.terminate() == 0
    jobs = {}
    for name in ("empty", "half", "garbled", "huge", "link", "FIFO", "directory"):
        job_id = add_row(server, state="pending", name=f"job-{name.replace(' ', '-')}")
        make = WRONG[name]
        make(server.data_dir / "runs" / job_id)
        jobs[job_id] = name
    server.start()
    client = server.client()
    for job_id, name in jobs.items():
        assert client.wait(job_id).state is JobState.UNKNOWN, name
    directory = next(job_id for job_id, name in jobs.items() if name == "directory")
    wait_until(lambda: left_files(server) == {f"runs/{directory}"}, DEADLINE, "the removal of the rest")
    again: Job = client.start(JobSpec(("true",), name="job-FIFO"))
    assert client.wait(again.id).state is JobState.COMPLETED


def bad_grace(job_id: str, grace: str) -> bytes:
    return f'{{"job_id": "{job_id}", "grace": {grace}}}'.encode()


def test_stop_requests_that_are_none(server: Server) -> None:
    """A stop request that is damaged, or of a strange kind, stops nothing and keeps no server from starting."""
    client = server.client()
    makes = [WRONG[name] for name in ("garbled", "FIFO", "endless link", "directory")]
    for grace in ("-1", "NaN", "Infinity", '"0"', "null", "true"):
        makes.append(lambda path, grace=grace: write_raw(path, bad_grace(path.name, grace)))  # type: ignore[misc]
    script = "trap 'echo term; exit 9' TERM; echo up; sleep 1000 & wait"
    jobs = [client.start(JobSpec(("sh", "-c", script))) for _ in makes]
    for job in jobs:
        assert next(client.follow(job.id)).data == b"up\n"
    server.kill()
    for job, make in zip(jobs, makes, strict=True):
        make(server.data_dir / "stops" / job.id)
    server.start()
    for job in jobs:
        path = server.data_dir / "stops" / job.id
        if path.is_dir():
            path.rmdir()
        # That the first SIGTERM is this one, the command says by itself.
        result = client.stop(job.id, 600)
        assert (result.job.outcome, result.already_ended) == (Exited(9), False)
        assert Path(job.log_path).read_bytes() == b"up\nterm\n"
    assert_nothing_left(server)


def test_strange_names(server: Server) -> None:
    """Files of whatever name and kind in the directories of the server's state do no harm."""
    client = server.client()
    done = client.wait(client.start(JobSpec(("true",))).id)
    assert server.terminate() == 0
    names = [
        b"x", b"-rf", b" ", b"\xff\xfe", b"line\nbreak", b"..x", b".hidden", b"\x1b[31m", b"a" * 255,
        done.id.upper().encode(), f"{done.id}x".encode(), f".{done.id}.1.2".encode(), b"*",
    ]  # fmt: skip
    for directory in ("runs", "exits", "stops"):
        place = os.fsencode(server.data_dir / directory)
        for name in names:
            Path(os.fsdecode(os.path.join(place, name))).write_bytes(b"made up")
        os.mkfifo(os.path.join(place, b"fifo"))
        os.symlink(b"/dev/zero", os.path.join(place, b"link"))
        os.mkdir(os.path.join(place, b"directory"))
        os.mkdir(os.path.join(place, b"11111111-1111-4111-8111-111111111111"))
    server.start()
    # And one that arrives in the usual way.
    os.rename(server.data_dir / "runs" / "x", server.data_dir / "exits" / "y")
    assert client.get(done.id) == done
    job = client.wait(client.start(JobSpec(("sh", "-c", "echo out"))).id)
    assert job.outcome == Exited(0)
    assert server.cli("stream", job.id).stdout == b"out\n"
