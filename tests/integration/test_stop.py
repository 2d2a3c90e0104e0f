"""Stops: when the call answers, nothing of the job is left."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from jsched.client import Client
from jsched.job import Exited, JobSpec, Signaled, StopResult
from jsched.state import JobState
from jsched.supervisor import record
from tests.helpers.calls import DEADLINE
from tests.helpers.feed import Feed
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(60)

# Each process has the mark, its second argument, in its command line; it says "up" when it is deaf and alone.
_PROCESS = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
def up():
    os.write(1, b"up\\n")
def rest():
    time.sleep(1000)
    os._exit(0)
def alone():
    os.closerange(0, 1024)
    os.chdir("/")
"""
TREE = (
    _PROCESS
    + """
for kind in range(6):
    if os.fork() == 0:
        if kind == 0:
            up(); rest()
        if kind == 1:
            os.setsid(); up(); alone(); rest()
        if kind == 2:
            if os.fork():
                os._exit(0)
            up(); rest()
        if kind == 3:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.setsid()
            if os.fork():
                os._exit(0)
            up(); alone(); rest()
        if kind == 4:
            os.execve("/bin/sh", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 99; done", sys.argv[1]], {})
        if kind == 5:
            os.setpgid(0, 0); up(); os.kill(os.getpid(), signal.SIGSTOP); rest()
up()
rest()
"""
)
TREE_SIZE = 7
DEAF = _PROCESS + "up()\nrest()\n"
OBEDIENT = (
    "import os, signal, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'bye\\n'), os._exit(5)))\n"
    "os.write(1, b'up\\n')\n"
    "time.sleep(1000)\n"
)
# Says "term" at each SIGTERM, and goes on.
TOUGH = (
    "import os, signal, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'term\\n'))\n"
    "os.write(1, b'up\\n')\n"
    "while True:\n"
    "    time.sleep(1000)\n"
)


def python(script: str, mark: str = "") -> list[str]:
    """Return the arguments of a job that runs a script."""
    return [sys.executable, "-S", "-c", script, mark]


def marked(mark: str) -> list[str]:
    """Return what runs with this mark in its arguments or its environment."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                content = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
                if mark.encode() in content and int(directory.name) != os.getpid():
                    found.append(f"{directory.name}: {(directory / 'cmdline').read_bytes()!r}")
    return found


def start(client: Client, argv: list[str], said: int = 1, grace: float = 10.0) -> str:
    """Start a job and return its id once it has said so many lines."""
    job = client.start(JobSpec(argv, grace=grace))
    await_lines(client, job.id, said)
    return job.id


def await_lines(client: Client, job_id: str, lines: int) -> None:
    """Return when the job has said so many lines."""
    data = b""
    with client.follow(job_id) as output:
        for chunk in output:
            data += chunk.data
            if data.count(b"\n") >= lines:
                return
    raise AssertionError(f"the job has ended and said only {data!r}")


@pytest.fixture(scope="module")
def client(shared_server: Server) -> Client:
    """A client of the server that tests share."""
    return shared_server.client()


@pytest.mark.parametrize("grace", [0, 0.2])
def test_tree_that_does_not_want_to_end(client: Client, grace: float) -> None:
    """Of a tree that ignores SIGTERM, forks away, changes session and closes its descriptors, a stop leaves nothing."""
    mark = f"mark-{uuid.uuid4()}"
    job_id = start(client, python(TREE, mark), TREE_SIZE)
    wait_until(lambda: len(marked(mark)) == TREE_SIZE, what="a tree whose go-betweens have ended")
    began = time.monotonic()
    result = client.stop(job_id, grace)
    assert marked(mark) == []
    assert marked(job_id) == []
    assert time.monotonic() - began >= grace
    assert not result.already_ended
    assert (result.job.state, result.job.outcome) == (JobState.STOPPED, Signaled(signal.SIGKILL))
    assert (result.job.forced, result.job.stopped_by) == (True, "admin")


def test_processes_that_fork_on_and_on(client: Client) -> None:
    """Processes that fork and end at once, over and over, do not get away from a stop."""
    mark = f"mark-{uuid.uuid4()}"
    hopper = _PROCESS + "os.setsid()\nup()\nwhile True:\n    if os.fork():\n        os._exit(0)\n"
    script = (
        f"import os, time\nfor _ in range(2):\n    if os.fork() == 0:\n        exec({hopper!r})\ntime.sleep(1000)\n"
    )
    job_id = start(client, python(script, mark), 2)
    result = client.stop(job_id, 0)
    assert marked(mark) == []
    assert result.job.forced


def test_job_that_obeys(client: Client) -> None:
    """A job that ends at SIGTERM keeps its exit code, is not forced, and need not use its grace up."""
    job_id = start(client, python(OBEDIENT))
    result = client.stop(job_id, 50)
    assert (result.job.state, result.job.outcome, result.job.forced) == (JobState.STOPPED, Exited(5), False)
    assert b"".join(chunk.data for chunk in client.follow(job_id)) == b"up\nbye\n"


def test_grace_of_the_job_itself(client: Client) -> None:
    """A stop that gives no grace uses the one the job was started with."""
    job_id = start(client, python(DEAF), grace=0.3)
    began = time.monotonic()
    assert client.stop(job_id).job.forced
    assert 0.3 <= time.monotonic() - began < 8


def test_stop_without_grace_sends_no_sigterm(client: Client) -> None:
    """A grace of 0 is SIGKILL at once: the job sees no SIGTERM."""
    job_id = start(client, python(TOUGH))
    assert client.stop(job_id, 0).job.outcome == Signaled(signal.SIGKILL)
    assert b"".join(chunk.data for chunk in client.follow(job_id)) == b"up\n"


@pytest.mark.parametrize(("deaf", "number"), [(False, signal.SIGTERM), (True, signal.SIGKILL)])
def test_job_that_was_suspended(client: Client, deaf: bool, number: int) -> None:
    """A job that is suspended by SIGSTOP gets SIGTERM and may end by it; if it does not, it is killed."""
    job_id = start(client, python(DEAF) if deaf else ["sh", "-c", "echo up; exec sleep 1000"])
    pid = client.get(job_id).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: "T (stopped)" in Path(f"/proc/{pid}/status").read_text(), what="a suspended job")
    result = client.stop(job_id, 0.2 if deaf else 50)
    assert not Path(f"/proc/{pid}").exists()
    assert (result.job.outcome, result.job.forced) == (Signaled(number), deaf)


def test_second_stop_with_a_shorter_grace(shared_server: Server, client: Client) -> None:
    """A second stop with a shorter grace ends the job sooner, for the first caller too."""
    job_id = start(client, python(TOUGH))
    with ThreadPoolExecutor(1) as threads:
        first: Future[StopResult] = threads.submit(shared_server.client().stop, job_id, 1000)
        await_lines(client, job_id, 2)
        second = client.stop(job_id, 0)
        assert first.result(DEADLINE) == second
    assert (second.already_ended, second.job.forced) == (False, True)


def test_second_stop_with_a_longer_grace(shared_server: Server, client: Client) -> None:
    """A second stop with a longer grace gives the job no more time, and no second SIGTERM."""
    job_id = start(client, python(TOUGH))
    with ThreadPoolExecutor(1) as threads:
        first: Future[StopResult] = threads.submit(shared_server.client().stop, job_id, 0.5)
        await_lines(client, job_id, 2)
        began = time.monotonic()
        client.stop(job_id, 1000)
        assert time.monotonic() - began < 10
        assert first.result(DEADLINE).job.forced
    assert b"".join(chunk.data for chunk in client.follow(job_id)) == b"up\nterm\n"


def test_stop_twice(client: Client) -> None:
    """A second stop of a stopped job changes nothing and says that it had ended."""
    job_id = start(client, ["sh", "-c", "echo up; exec sleep 1000"])
    first = client.stop(job_id)
    second = client.stop(job_id, 0)
    assert (first.already_ended, second.already_ended) == (False, True)
    assert second.job == first.job == client.get(job_id)


def test_stop_of_a_job_that_ended_by_itself(client: Client) -> None:
    """A stop of a job that ended by itself leaves its outcome alone."""
    ended = client.wait(client.start(JobSpec(["sh", "-c", "exit 4"])).id)
    result = client.stop(ended.id)
    assert (result.already_ended, result.job) == (True, ended)
    assert (ended.state, ended.outcome, ended.stopped_by) == (JobState.COMPLETED, Exited(4), None)


def test_ten_clients_at_once(shared_server: Server, client: Client) -> None:
    """Ten clients that stop one job at once all get the same answer, and the job one SIGTERM."""
    job_id = start(client, python(TOUGH))
    clients = [shared_server.client() for _ in range(10)]
    with ThreadPoolExecutor(10) as threads:
        results = list(threads.map(lambda one: one.stop(job_id, 0.5), clients))
    assert all(result.job == results[0].job for result in results)
    assert results[0].job.state is JobState.STOPPED
    assert not all(result.already_ended for result in results)
    assert b"".join(chunk.data for chunk in client.follow(job_id)) == b"up\nterm\n"


def test_stop_that_races_with_the_end(client: Client) -> None:
    """A stop that comes as the job ends by itself answers, and job and answer tell the same end."""
    with ThreadPoolExecutor(8) as threads:

        def race(_: int) -> None:
            job = client.start(JobSpec(["true"]))
            result = client.stop(job.id)
            assert result.job == client.get(job.id)
            assert result.job.state in (JobState.COMPLETED, JobState.STOPPED)
            assert isinstance(result.job.outcome, Exited | Signaled)

        list(threads.map(race, range(40)))


def test_end_takes_children_with_it(client: Client, feed: Feed) -> None:
    """When a job ends by itself, its left-over children are gone before its end is told."""
    mark = f"mark-{uuid.uuid4()}"
    until_told = TREE.removesuffix("rest()\n") + "os.read(os.open(sys.argv[2], os.O_RDONLY), 1)\nos._exit(3)\n"
    job_id = start(client, [*python(until_told, mark), feed.argv[-1]], TREE_SIZE)
    wait_until(lambda: len(marked(mark)) == TREE_SIZE, what="a tree whose go-betweens have ended")
    feed.write(b".")
    ended = client.wait(job_id)
    assert marked(mark) == []
    assert marked(job_id) == []
    assert (ended.state, ended.outcome, ended.forced) == (JobState.COMPLETED, Exited(3), False)


def test_stop_across_a_restart(server: Server) -> None:
    """A stop whose server is killed is carried out within its grace; the next server answers the caller."""
    client = server.client()
    job_id = start(client, python(TOUGH))
    began = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        stop: Future[StopResult] = threads.submit(client.stop, job_id, 1.0)
        wait_until(lambda: server_said(server, job_id, b"up\nterm\n"), what="the job's SIGTERM")
        server.kill()
        server.start()
        result = stop.result(DEADLINE)
    assert time.monotonic() - began < 15
    assert marked(job_id) == []
    assert (result.job.state, result.job.outcome) == (JobState.STOPPED, Signaled(signal.SIGKILL))
    assert (result.job.forced, result.job.stopped_by) == (True, "admin")


def test_stop_while_no_server_is_there(server: Server) -> None:
    """A stop that was asked for before its server was killed ends the job with no server there."""
    client = server.client()
    job_id = start(client, python(TREE), TREE_SIZE)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: client.stop(job_id, 0.5))
        wait_until(lambda: record.read_stop(server.data_dir / "stops", job_id) is not None, what="the stop request")
        wait_until(lambda: client.get(job_id).stopped_by or client.get(job_id).state.ended, what="the note of it")
        server.kill()
        wait_until(lambda: not marked(job_id), what="the end of the job")
        server.start()
    assert (client.get(job_id).state, client.get(job_id).forced) == (JobState.STOPPED, True)


def test_stop_request_that_was_never_signalled(server: Server) -> None:
    """A stop that was written down, but not yet signalled when the server was killed, is carried out by the next."""
    client = server.client()
    job_id = start(client, ["sh", "-c", "echo up; exec sleep 1000"])
    server.kill()
    record.write_stop(server.data_dir / "stops", job_id, 5)
    server.start()
    job = client.wait(job_id)
    assert (job.state, job.outcome) == (JobState.STOPPED, Signaled(signal.SIGTERM))


def server_said(server: Server, job_id: str, text: bytes) -> bool:
    """Tell whether this is what the job's log file holds."""
    return (server.log_dir / f"{job_id}.log").read_bytes() == text
