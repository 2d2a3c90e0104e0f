"""`kill -9` of the server between any two steps of a start, an end and a stop, each made to happen for sure."""

from __future__ import annotations

import functools
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from jsched.errors import NotFound
from jsched.job import Exited, JobSpec, Signaled
from jsched.linux import process
from jsched.state import JobState
from jsched.supervisor import record
from tests.helpers.aftermath import (
    DEADLINE,
    assert_nothing_left,
    idle_monitors,
    in_background,
    is_gone,
    launches_held,
    left_files,
    paused,
    rows,
)
from tests.helpers.feed import Feed
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A file to which each run of a job adds a line."""
    return tmp_path / "ran"


def counted(ran: Path, then: str = "") -> tuple[str, ...]:
    """Return a command that adds a line to `ran`, and does `then`."""
    return ("sh", "-c", f"echo ran >> {ran}; {then}")


def runs(ran: Path) -> int:
    return len(ran.read_text().splitlines()) if ran.exists() else 0


def pending(server: Server) -> str | None:
    """Return the id of a job that is written down and not known to run."""
    return next((job_id for job_id, row in rows(server).items() if row["state"] == "pending"), None)


def run_record(server: Server, job_id: str) -> record.RunRecord:
    """Return the job's run record once it names the command."""

    def named() -> record.RunRecord | None:
        run = record.read_run(server.data_dir / "runs", job_id)
        return run if run and run.pid else None

    return wait_until(named, DEADLINE, "the run record")


def test_killed_before_the_launch_and_tried_again(server: Server, ran: Path) -> None:
    """A start that no launcher had begun is done once by the next server, however late the old launcher comes."""
    client = server.client()
    client.list()
    launcher = server.launcher_pid
    launcher_start = process.start_time(launcher)
    with launches_held(server.launcher_pid):
        started = in_background(client.start, JobSpec(counted(ran), name="once"), request_id="one")
        forgotten = wait_until(lambda: pending(server), DEADLINE, "the row of the start")
        client.list()
        server.kill()
        server.start()
        job = started.result(DEADLINE)
        assert job.id != forgotten
        assert client.wait(job.id).outcome == Exited(0)
    wait_until(lambda: is_gone(launcher, launcher_start), DEADLINE, "the end of the old launcher")
    assert_nothing_left(server)
    assert runs(ran) == 1
    assert {path.name for path in server.log_dir.iterdir()} == {f"{job.id}.log"}
    assert list(rows(server)) == [job.id]
    with pytest.raises(NotFound):
        client.get(forgotten)


def test_killed_before_the_launch_and_left(server: Server, ran: Path) -> None:
    """A start that was neither begun nor answered is not there afterwards, and its name is free."""
    client = server.client(reconnect_timeout=0)
    client.list()
    with launches_held(server.launcher_pid):
        started = in_background(client.start, JobSpec(counted(ran), name="once"))
        wait_until(lambda: pending(server), DEADLINE, "the row of the start")
        client.list()
        server.kill()
        assert started.exception(DEADLINE) is not None
        server.start()
        assert rows(server) == {}
    again = server.client()
    assert again.wait(again.start(JobSpec(("true",), name="once")).id).state is JobState.COMPLETED
    assert_nothing_left(server)
    assert runs(ran) == 0


def test_killed_with_the_row_alone(server: Server) -> None:
    """A claim that an earlier recovery has made and a log that it did not come to remove are no start."""
    client = server.client()
    client.list()
    launcher = server.launcher_pid
    with launches_held(server.launcher_pid):
        started = in_background(client.start, JobSpec(("true",)), request_id="one")
        job_id = wait_until(lambda: pending(server), DEADLINE, "the row of the start")
        server.kill()
        os.kill(launcher, signal.SIGKILL)
        record.write_claim(server.data_dir / "runs", job_id)
        (server.log_dir / f"{job_id}.log").touch()
        server.start()
    assert started.result(DEADLINE).id != job_id
    client.wait(started.result().id)
    assert_nothing_left(server)
    assert not (server.log_dir / f"{job_id}.log").exists()


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_killed_before_the_acknowledgement(server: Server, ran: Path, feed: Feed, ended: bool) -> None:
    """A start that was done but not answered is found, and the same request id is answered with it."""
    client = server.client()
    client.list()
    spec = JobSpec(counted(ran, f"cat {feed.path}; exit 7"), name="once")
    with launches_held(server.launcher_pid) as let_go:
        started = in_background(client.start, spec, request_id="one")
        job_id = wait_until(lambda: pending(server), DEADLINE, "the row of the start")
        # Two calls later the request is on its way.
        client.list()
        client.list()
        with paused(server.pid):
            let_go()
            run = run_record(server, job_id)
            if ended:
                feed.end()
                wait_until(lambda: record.read_exit(server.data_dir / "exits", job_id), DEADLINE, "the job's end")
            server.kill()
    server.start()
    job = started.result(DEADLINE)
    assert job.id == job_id
    if not ended:
        assert job.state is JobState.RUNNING
        assert job.pid == run.pid
        feed.end()
    assert client.wait(job_id).outcome == Exited(7)
    assert runs(ran) == 1
    assert_nothing_left(server)
    assert list(rows(server)) == [job_id]


@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_killed_right_after_the_acknowledgement(server: Server, ran: Path, feed: Feed, ended: bool) -> None:
    """A start that was answered is there afterwards as it was told, though it was not yet written that the job runs."""
    client = server.client()
    client.list()
    job = client.start(JobSpec(counted(ran, f"cat {feed.path}; exit 7"), name="once"), request_id="one")
    with paused(server.pid):
        if ended:
            feed.end()
            wait_until(lambda: record.read_exit(server.data_dir / "exits", job.id), DEADLINE, "the job's end")
        server.kill()
    server.start()
    assert client.start(JobSpec(counted(ran, f"cat {feed.path}; exit 7"), name="once"), request_id="one").id == job.id
    if not ended:
        assert client.get(job.id) == replace(job, usage=client.get(job.id).usage)
        feed.end()
    done = client.wait(job.id)
    assert (done.outcome, done.started_at) == (Exited(7), job.started_at)
    assert runs(ran) == 1
    assert_nothing_left(server)


def test_killed_before_the_failure_was_told(server: Server) -> None:
    """A start that failed while its server was going away has failed, by step and errno, for the next one."""
    client = server.client()
    client.list()
    with launches_held(server.launcher_pid) as let_go:
        started = in_background(client.start, JobSpec(("/no/such/command",)), request_id="one")
        job_id = wait_until(lambda: pending(server), DEADLINE, "the row of the start")
        client.list()
        client.list()
        with paused(server.pid):
            let_go()
            exits = server.data_dir / "exits"
            wait_until(lambda: record.read_exit(exits, job_id), DEADLINE, "the exit record")
            server.kill()
    server.start()
    error = started.exception(DEADLINE)
    assert "No such file or directory" in str(error)
    assert client.get(job_id).state is JobState.FAILED
    assert_nothing_left(server)


def test_killed_before_the_end_was_applied(server: Server, feed: Feed) -> None:
    """An end that nobody saw is found: the outcome, every byte to the follower, the answer to the waiter."""
    client = server.client()
    job = client.start(JobSpec(("sh", "-c", f"cat {feed.path}; exit 3"), name="seen"))
    feed.write(b"first\n")
    stream = client.follow(job.id)
    assert next(stream).data == b"first\n"
    waiter = in_background(client.wait, job.id)
    with paused(server.pid):
        feed.end(b"last\n")
        wait_until(lambda: record.read_exit(server.data_dir / "exits", job.id), DEADLINE, "the job's end")
        server.kill()
    server.start()
    assert b"".join(chunk.data for chunk in stream) == b"last\n"
    assert stream.ended is not None
    assert stream.ended.outcome == Exited(3)
    assert waiter.result(DEADLINE).outcome == Exited(3)
    assert_nothing_left(server)
    assert client.wait(client.start(JobSpec(("true",), name="seen")).id).state is JobState.COMPLETED


def test_killed_before_the_records_were_removed(server: Server) -> None:
    """Records of a job whose end is written down change nothing, and are removed, temporary files too."""
    client = server.client()
    job = client.wait(client.start(JobSpec(("sh", "-c", "exit 5"))).id)
    assert_nothing_left(server)
    server.kill()
    runs_dir, exits_dir, stops_dir = (server.data_dir / name for name in ("runs", "exits", "stops"))
    pid = os.getpid()
    record.write_run(runs_dir, record.RunRecord(job.id, process.boot_id(), pid, process.start_time(pid), 0))
    record.write_exit(exits_dir, record.ExitRecord(job.id, 0, None, None, None, False, False, False, 0, 0, 0, 0, 0))
    record.write_stop(stops_dir, job.id, 0)
    for directory in (runs_dir, exits_dir, stops_dir):
        (directory / f".{job.id}.1.2").touch()
    server.start()
    assert left_files(server) == set()
    assert client.get(job.id) == job


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["polite", "deaf"])
def test_killed_before_the_stop_was_signalled(server: Server, trap: str) -> None:
    """A stop that was written down is carried out by the next server, with the grace that was asked for."""
    client = server.client()
    job = client.start(JobSpec(("sh", "-c", f"{trap}echo up; sleep 1000 & wait; wait"), grace=600))
    assert next(client.follow(job.id)).data == b"up\n"
    server.kill()
    record.write_stop(server.data_dir / "stops", job.id, 0.2)
    (server.data_dir / "stops" / f".{job.id}.1.2").touch()
    server.start()
    ended = client.wait(job.id)
    assert ended.state is JobState.STOPPED
    assert ended.outcome == Signaled(signal.SIGKILL if trap else signal.SIGTERM)
    assert ended.forced is bool(trap)
    assert_nothing_left(server)


def test_killed_while_a_stop_was_carried_out(server: Server) -> None:
    """A stop that was under way goes on without a server, and the caller who asks again is answered by the next."""
    client = server.client()
    job = client.start(JobSpec(("sh", "-c", "trap '' TERM; echo up; sleep 1000 & wait; wait"), grace=0.5))
    assert next(client.follow(job.id)).data == b"up\n"
    run = run_record(server, job.id)
    with paused(run.monitor_pid):
        stop = in_background(client.stop, job.id)
        wait_until(lambda: record.read_stop(server.data_dir / "stops", job.id), DEADLINE, "the stop request")
        server.kill()
    wait_until(lambda: is_gone(run.monitor_pid, run.monitor_start), DEADLINE, "the end of the job")
    server.start()
    result = stop.result(DEADLINE)
    assert result.job.state is JobState.STOPPED
    assert result.job.forced
    assert_nothing_left(server)


def test_time_limit_while_the_server_is_away(server: Server) -> None:
    """A time limit holds with no server there, and the next one says so."""
    client = server.client()
    job = client.start(JobSpec(("sleep", "1000"), timeout=1.0))
    run = run_record(server, job.id)
    server.kill()
    wait_until(lambda: is_gone(run.monitor_pid, run.monitor_start), DEADLINE, "the end of the job")
    server.start()
    ended = client.wait(job.id)
    assert ended.state is JobState.TERMINATED
    assert ended.reason is not None
    assert ended.reason.value == "time limit"
    assert ended.duration is not None
    assert 1.0 <= ended.duration.total_seconds() < 10
    assert_nothing_left(server)


def test_launcher_killed_before_the_launch(server: Server, ran: Path) -> None:
    """A start that waits for a launcher that is killed is done once, by the next launcher of the same server."""
    client = server.client()
    client.list()
    launcher = server.launcher_pid
    with paused(launcher):
        for spare in idle_monitors(launcher):
            start = process.start_time(spare)
            os.kill(spare, signal.SIGKILL)
            wait_until(functools.partial(is_gone, spare, start), DEADLINE, "the spare monitor's end")
        client.list()
        started = in_background(client.start, JobSpec(counted(ran)))
        wait_until(lambda: pending(server), DEADLINE, "the row of the start")
        client.list()
        os.kill(launcher, signal.SIGKILL)
    job = client.wait(started.result(DEADLINE).id)
    assert job.outcome == Exited(0)
    assert runs(ran) == 1
    assert server.launcher_pid != launcher
    assert_nothing_left(server)


def test_jobs_live_in_sessions_of_their_own(server: Server, feed: Feed) -> None:
    """The launcher, each monitor and each command lead sessions of their own, and outlive the server as they were."""
    client = server.client()
    job = client.start(JobSpec(feed.argv))
    run = run_record(server, job.id)
    assert run.pid is not None
    leaders = {server.pid, server.launcher_pid, run.monitor_pid, run.pid}
    assert {os.getsid(pid) for pid in leaders} == leaders
    server.kill()
    assert os.getsid(run.monitor_pid) == run.monitor_pid
    assert os.getsid(run.pid) == run.pid
    feed.end(b"bye\n")
    wait_until(lambda: is_gone(run.monitor_pid, run.monitor_start), DEADLINE, "the job's end")
    server.start()
    assert client.wait(job.id).outcome == Exited(0)
