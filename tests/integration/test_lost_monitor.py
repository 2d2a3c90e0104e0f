"""A monitor that is killed: how its job ended nobody knows, and nobody says that they do."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from jsched.job import Job, JobSpec, Lost
from jsched.linux import process
from jsched.state import JobState
from jsched.supervisor import record
from tests.helpers.aftermath import DEADLINE, assert_nothing_left, in_background, is_gone
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

# A child that is deaf, in a session of its own, and no child of the command any more; both say who they are.
RUNAWAY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(1, b"runaway %d\\n" % os.getpid())
        time.sleep(1000)
    os._exit(0)
os.wait()
os.write(1, b"command %d\\n" % os.getpid())
time.sleep(1000)
"""


def tree(server: Server, job: Job) -> list[tuple[int, int]]:
    """Wait until the command and its runaway child have said who they are; return them with their start times."""
    stream = server.client().follow(job.id)
    said = b""
    while said.count(b"\n") < 2:
        said += next(stream).data
    stream.close()
    return [(int(line.split()[1]), process.start_time(int(line.split()[1]))) for line in said.splitlines()]


def run_record(server: Server, job: Job) -> record.RunRecord:
    run = record.read_run(server.data_dir / "runs", job.id)
    assert run is not None
    return run


def assert_lost(job: Job) -> None:
    """A lost job has no outcome, no end and nothing that was used: all that would be made up."""
    assert job.state is JobState.UNKNOWN
    assert job.outcome == Lost()
    assert (job.ended_at, job.usage, job.reason, job.forced) == (None, None, None, False)


def test_monitor_killed(server: Server) -> None:
    """Its job is UNKNOWN, its whole tree is gone, followers and waiters are answered, and the server goes on."""
    client = server.client()
    job = client.start(JobSpec((sys.executable, "-c", RUNAWAY), name="watched"))
    processes = tree(server, job)
    reader = in_background(lambda: (lambda stream: (list(stream), stream.ended))(client.follow(job.id)))
    waiter = in_background(client.wait, job.id)
    code = server.popen_cli("wait", job.id)
    os.kill(run_record(server, job).monitor_pid, signal.SIGKILL)
    assert_lost(waiter.result(DEADLINE))
    _, ended = reader.result(DEADLINE)
    assert ended is not None
    assert_lost(ended)
    assert_lost(client.get(job.id))
    assert client.stop(job.id).already_ended
    _, said = code.communicate(timeout=DEADLINE)
    assert code.returncode == 125, said
    for one in processes:
        assert is_gone(*one)
    again = client.start(JobSpec(("true",), name="watched"))
    assert client.wait(again.id).state is JobState.COMPLETED
    assert_nothing_left(server)


def test_monitor_killed_during_a_stop(server: Server) -> None:
    """A stop whose monitor is killed is answered: the tree is gone, how it ended is not known."""
    client = server.client()
    job = client.start(JobSpec((sys.executable, "-c", RUNAWAY), grace=600))
    processes = tree(server, job)
    stop = in_background(client.stop, job.id)
    wait_until(lambda: record.read_stop(server.data_dir / "stops", job.id), DEADLINE, "the stop request")
    os.kill(run_record(server, job).monitor_pid, signal.SIGKILL)
    result = stop.result(DEADLINE)
    assert_lost(result.job)
    assert not result.already_ended
    for one in processes:
        assert is_gone(*one)
    assert_nothing_left(server)


def test_monitor_killed_while_the_server_is_away(server: Server) -> None:
    """The next server finds what is left of the job, kills it, and says that it does not know more."""
    client = server.client()
    job = client.start(JobSpec((sys.executable, "-c", RUNAWAY)))
    processes = tree(server, job)
    waiter = in_background(client.wait, job.id)
    server.kill()
    os.kill(run_record(server, job).monitor_pid, signal.SIGKILL)
    server.start()
    assert_lost(waiter.result(DEADLINE))
    for one in processes:
        assert is_gone(*one)
    assert_nothing_left(server)
