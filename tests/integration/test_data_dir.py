"""Directories and databases that can't be used, or not any more: said clearly, survived where that can be."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.errors import DataLoss, FailedPrecondition, ResourceExhausted
from jsched.job import Exited, Job, JobSpec, Signaled
from jsched.linux import file_attributes
from jsched.state import JobState
from jsched.supervisor import record
from tests.helpers.aftermath import (
    DEADLINE,
    assert_nothing_left,
    database,
    in_background,
    left_files,
)
from tests.helpers.feed import Feed
from tests.helpers.server import Server
from tests.helpers.small_disk import empty, fill, server_on_a_small_disk
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

DEAF = "trap '' TERM; echo up; sleep 1000 & wait; wait"


@pytest.fixture
def idle(tmp_path: Path, certs: Path) -> Iterator[Server]:
    """A server that has not been started."""
    server = Server(tmp_path / "server", certs)
    yield server
    server.close()


@pytest.fixture
def small(tmp_path: Path, certs: Path) -> Iterator[Server]:
    """A server that has not been started, with its data on a file system of 4 MiB of its own."""
    with server_on_a_small_disk(tmp_path / "server", certs, 4 << 20) as server:
        yield server


def refused(server: Server) -> str:
    """Start a server that must not start; return the one line that it says instead, with exit code 1."""
    with pytest.raises(AssertionError, match="ended with 1:") as failure:
        server.start()
    lines = str(failure.value).splitlines()[1:]
    errors = [line for line in lines if line.startswith("Error: ")]
    assert len(errors) == 1, lines
    assert not any("Traceback" in line for line in lines), lines
    return errors[0]


def test_data_of_another_server(server: Server, feed: Feed) -> None:
    """A second server on the same data is refused, and neither the first nor its jobs notice; after a kill it may."""
    client = server.client()
    job = client.start(JobSpec(feed.argv))
    second = Server(server.root, server.certs)
    assert f"another jsched uses {server.data_dir}" in refused(second)
    assert client.get(job.id).state is JobState.RUNNING
    server.kill()
    second.start()
    try:
        assert second.client().get(job.id).state is JobState.RUNNING
        feed.end()
        assert second.client().wait(job.id).outcome == Exited(0)
    finally:
        second.close()


def test_database_of_a_newer_version(idle: Server) -> None:
    """A database that a newer jsched has written is left as it is."""
    idle.start()
    assert idle.terminate() == 0
    with contextlib.closing(database(idle)) as db:
        db.execute("PRAGMA user_version = 1000")
    before = (idle.data_dir / "state.db").read_bytes()
    assert "schema version 1000" in refused(idle)
    assert (idle.data_dir / "state.db").read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all\n" * 400, os.urandom(100_000)], ids=["text", "noise"])
def test_garbage_for_a_database(idle: Server, content: bytes) -> None:
    """What is no database is named, and not overwritten."""
    idle.data_dir.mkdir(parents=True)
    (idle.data_dir / "state.db").write_bytes(content)
    assert str(idle.data_dir / "state.db") in refused(idle)
    assert (idle.data_dir / "state.db").read_bytes() == content


@pytest.mark.parametrize("name", ["exits", "runs", "stops", "lock", "state.db"])
def test_something_else_in_its_place(idle: Server, name: str) -> None:
    """A file where a directory belongs, and the other way round, is named."""
    idle.data_dir.mkdir(parents=True)
    if name in ("lock", "state.db"):
        (idle.data_dir / name).mkdir()
    else:
        (idle.data_dir / name).touch()
    assert str(idle.data_dir / name) in refused(idle)


def test_links_for_the_lock(idle: Server) -> None:
    """The lock is not taken through a link, which could lead out of the directory."""
    idle.data_dir.mkdir(parents=True)
    (idle.data_dir / "lock").symlink_to(idle.root / "elsewhere")
    assert str(idle.data_dir / "lock") in refused(idle)
    assert not (idle.root / "elsewhere").exists()


def test_read_only_data(small: Server) -> None:
    """Data on a file system that can't be written to are refused by name, and are good again later."""
    small.start()
    done = small.client().wait(small.client().start(JobSpec(("true",))).id)
    assert small.terminate() == 0
    subprocess.run(["mount", "-o", "remount,ro", small.data_dir], check=True)
    try:
        assert str(small.data_dir) in refused(small)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small.data_dir], check=True)
    small.start()
    assert small.client().get(done.id) == done


def test_log_directory_that_is_gone(server: Server) -> None:
    """Without its log a job is not started; the error names the log, and once the directory is back all is well."""
    client = server.client()
    client.list()
    shutil.rmtree(server.log_dir)
    ran = server.root / "ran"
    with pytest.raises(FailedPrecondition, match=f"{server.log_dir}.*No such file or directory"):
        client.start(JobSpec(("touch", str(ran)), name="logless"))
    assert not ran.exists()
    server.log_dir.mkdir()
    job = client.start(JobSpec(("echo", "again"), name="logless"))
    assert b"".join(chunk.data for chunk in client.follow(job.id)) == b"again\n"
    assert_nothing_left(server)


def test_log_that_is_deleted_under_a_follower(server: Server, feed: Feed) -> None:
    """Who follows reads on to the end and the outcome; who comes later is told that the log is gone.

    The server's log has a line of it, and no traceback: it is no defect.
    """
    client = server.client()
    job = client.start(JobSpec(feed.argv))
    stream = client.follow(job.id)
    feed.write(b"one\n")
    assert next(stream).data == b"one\n"
    file_attributes.release(job.log_path)
    Path(job.log_path).unlink()
    feed.write(b"two\n")
    assert next(stream).data == b"two\n"
    feed.end(b"three\n")
    assert b"".join(chunk.data for chunk in stream) == b"three\n"
    assert stream.ended is not None
    assert stream.ended.outcome == Exited(0)
    with pytest.raises(DataLoss):
        next(client.follow(job.id))
    assert client.wait(job.id).outcome == Exited(0)
    said = server.printed()
    assert f"StreamOutput failed: log file {job.log_path} of job {job.id} is gone" in said
    assert "Traceback" not in said


def test_full_disk(small: Server, tmp_path: Path) -> None:
    """With no room left nothing new starts, stops work and ends are told; what could not be asked is done later."""
    small.start()
    client = small.client()
    with Feed(tmp_path / "first") as feed:
        stopped = client.start(JobSpec(("sleep", "1000")))
        hurried = client.start(JobSpec(("sh", "-c", DEAF), grace=600))
        patient = client.start(JobSpec(("sleep", "1000"), grace=1.0))
        ends = client.start(JobSpec(("sh", "-c", f"cat {feed.path}; exit 4")))
        assert next(client.follow(hurried.id)).data == b"up\n"
        fill(small.data_dir)
        ran = tmp_path / "ran"
        # So often that the audit trail has no room left for a line either.
        for _ in range(40):
            with pytest.raises(ResourceExhausted):
                client.start(JobSpec(("touch", str(ran)), name="no-room"), request_id="one")
        # A grace that can't be told to the monitor and is longer than the job's own is refused.
        with pytest.raises(ResourceExhausted):
            client.stop(patient.id, 5.0)
        stop = in_background(client.stop, stopped.id)
        hurry = in_background(client.stop, hurried.id, 0)
        feed.end(b"written\n")
        assert stop.result(DEADLINE).job.outcome == Signaled(15)
        assert client.wait(ends.id).outcome == Exited(4)
        assert not hurry.done()
        empty(small.data_dir)
        assert hurry.result(DEADLINE).job.outcome == Signaled(9)
        assert b"".join(chunk.data for chunk in client.follow(ends.id)) == b"written\n"
        assert client.get(patient.id).state is JobState.RUNNING
        assert not ran.exists()
        job = client.start(JobSpec(("touch", str(ran)), name="no-room"), request_id="one")
        assert client.wait(job.id).outcome == Exited(0)
        assert ran.exists()
        assert client.stop(patient.id, 5.0).job.state is JobState.STOPPED
    assert_nothing_left(small)


def test_full_disk_and_a_restart(small: Server) -> None:
    """A server that starts with no room left serves, so that the job that fills the disk can be stopped."""
    small.start()
    client = small.client()
    culprit = client.start(JobSpec(("sleep", "1000")))
    stopping = client.start(JobSpec(("sh", "-c", "trap '' TERM; echo up; sleep 1000 & wait; wait"), grace=600))
    lost = client.start(JobSpec(("sleep", "1000")))
    assert next(client.follow(stopping.id)).data == b"up\n"
    small.kill()
    record.write_stop(small.data_dir / "stops", stopping.id, 600)
    os.kill(monitor(small, lost.id).monitor_pid, 9)
    fill(small.data_dir)
    small.start()
    for _ in range(40):
        with pytest.raises(ResourceExhausted):
            client.start(JobSpec(("true",)))
    stop = in_background(client.stop, culprit.id)
    wait_for_command(culprit)
    empty(small.data_dir)
    assert stop.result(DEADLINE).job.state is JobState.STOPPED
    assert client.wait(lost.id).state is JobState.UNKNOWN
    assert client.stop(stopping.id, 0).job.state is JobState.STOPPED
    assert_nothing_left(small)
    assert left_files(small) == set()


def monitor(server: Server, job_id: str) -> record.RunRecord:
    run = record.read_run(server.data_dir / "runs", job_id)
    assert run is not None
    return run


def wait_for_command(job: Job) -> None:
    """Wait for the command's end, which its monitor can't write down yet."""
    assert job.pid is not None
    path = Path(f"/proc/{job.pid}")
    wait_until(lambda: not path.exists(), DEADLINE, f"the end of process {job.pid}")
