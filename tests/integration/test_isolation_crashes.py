"""`kill -9` of whatever has to do with a walled job, at any step: nothing of it is left, nothing is made up."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import secrets
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from jsched.errors import JschedError
from jsched.isolation.discovery import look
from jsched.isolation.hierarchy import Hierarchy, group_name
from jsched.job import Exited, Job, JobSpec
from jsched.linux import process
from jsched.state import JobState
from tests.helpers.aftermath import DEADLINE, assert_nothing_left, in_background, rows
from tests.helpers.server import Server
from tests.helpers.wait import wait_until
from tests.helpers.walled import open_directory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROUNDS = 10
STARTS_A_ROUND = 6


@pytest.fixture
def walled(certs: Path) -> Iterator[Server]:
    """A server as it is by default."""
    with open_directory() as directory, Server(directory / "server", certs, config="") as server:
        yield server


def victims(server: Server, kind: str) -> list[int]:
    """Return the processes of a kind that there are now."""
    with contextlib.suppress(AssertionError, FileNotFoundError):
        launcher = server.launcher_pid
        if kind == "launcher":
            return [launcher]
        monitors = process.children(launcher)
        if kind == "monitor":
            return monitors
        return [init for monitor in monitors for init in process.children(monitor)]
    return []


def kill(server: Server, kind: str, dice: random.Random) -> None:
    if kind == "server":
        server.kill()
        server.start()
        return
    for victim in dice.sample(found := victims(server, kind), min(2, len(found))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def has_done(starts: list[Future[Job]], number: int) -> bool:
    return sum(one.done() for one in starts) >= number


def test_killed_at_random(walled: Server) -> None:
    """Whatever is killed and when, each job ends in a way that is true, and no process, cgroup or mount is left."""
    seed = int(os.environ.get("TEST_SEED") or secrets.randbits(32))
    print(f"TEST_SEED={seed}")
    dice = random.Random(seed)
    client = walled.client()
    client.list()
    started: list[Future[Job]] = []
    for number in range(ROUNDS):
        spec = JobSpec(["sh", "-c", "(setsid sleep 0.3 &); echo ran; sleep 0.1; exit 7"])
        round_ = [
            in_background(client.start, spec, request_id=f"{seed}-{number}-{one}") for one in range(STARTS_A_ROUND)
        ]
        done = dice.randrange(STARTS_A_ROUND)
        with contextlib.suppress(AssertionError):
            wait_until(functools.partial(has_done, round_, done), 20.0, "some starts")
        kill(walled, dice.choice(("server", "launcher", "monitor", "init")), dice)
        started += round_

    ended = []
    for future in started:
        if isinstance(error := future.exception(DEADLINE), JschedError):
            # Its monitor or its init was killed, and it says so.
            assert "has ended before" in str(error) or "No such process" in str(error), error
            continue
        ended.append(client.wait(future.result().id))
    assert len(ended) > len(started) / 2
    for job in ended:
        if job.state is JobState.COMPLETED:
            assert job.outcome == Exited(7)
            assert Path(job.log_path).read_bytes() == b"ran\n"
        else:
            # Its init was killed, or its monitor: then nobody knows.
            assert job.state in (JobState.TERMINATED, JobState.UNKNOWN), job
    assert_nothing_left(walled)
    assert {row["state"] for row in rows(walled).values()} <= {"completed", "terminated", "unknown", "failed"}
    place = look(group_name(walled.data_dir))
    if isinstance(place, Hierarchy):
        wait_until(lambda: place.jobs() == set(), DEADLINE, f"no cgroup, not {place.jobs()}")
    assert str(walled.root) not in Path("/proc/self/mountinfo").read_text()
