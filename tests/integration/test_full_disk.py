"""On a full disk: what is stopped has ended, is said to have, and is in the trail, also after the server was killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.job import Exited, JobSpec, Signaled
from jsched.state import JobState
from tests.helpers.aftermath import DEADLINE, in_background
from tests.helpers.server import Server
from tests.helpers.small_disk import empty, fill, server_on_a_small_disk
from tests.helpers.trail import trail
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

JOBS = 12


@pytest.fixture
def small(tmp_path: Path, certs: Path) -> Iterator[Server]:
    """A server with its data on a file system of 6 MiB of its own."""
    with server_on_a_small_disk(tmp_path / "server", certs, 6 << 20) as server:
        server.start()
        yield server


def test_stops_on_a_full_disk_are_answered_with_the_end(small: Server) -> None:
    """With no byte left each stop is answered when the job is gone, has its line, and its end stays after a kill."""
    client = small.client()
    jobs = [client.start(JobSpec(("sleep", "1000"), name=f"a{number}")) for number in range(JOBS)]
    fill(small.data_dir)
    for job in jobs:
        fill(small.data_dir)
        stopped = in_background(client.stop, job.id).result(DEADLINE).job
        assert (stopped.state, stopped.outcome, stopped.stopped_by) == (JobState.STOPPED, Signaled(15), "admin")
        assert not Path(f"/proc/{job.pid}").exists()
    lines = [line["job"] for line in trail(small) if line.get("verb") == "stop" and line["status"] == "OK"]
    assert lines == [job.id for job in jobs]
    small.kill()
    empty(small.data_dir)
    small.start()
    for job in jobs:
        found = small.client().get(job.id)
        assert (found.state, found.outcome) == (JobState.STOPPED, Signaled(15))


def test_an_end_on_a_full_disk_while_no_server_is_there_is_found_by_the_next(small: Server, tmp_path: Path) -> None:
    """A monitor tells how its job ended though the disk is full, and a server that starts on it takes that over."""
    go = tmp_path / "go"
    job = small.client().start(JobSpec(("sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.05; done; exit 5', str(go))))
    fill(small.data_dir)
    small.kill()
    fill(small.data_dir)
    go.touch()
    wait_until((small.data_dir / "exits" / job.id).exists, DEADLINE, "the exit record")
    small.start()
    found = small.client().wait(job.id)
    assert (found.state, found.outcome) == (JobState.COMPLETED, Exited(5))
