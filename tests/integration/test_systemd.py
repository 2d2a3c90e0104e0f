"""The shipped unit under a real systemd: a server of another user's, whose jobs outlive every restart."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from jsched.client import Client
from jsched.job import Exited, Job, JobSpec, Reason
from jsched.limits import Limits
from jsched.server.priority import NICE
from jsched.state import JobState
from tests.helpers import systemd
from tests.helpers.systemd import Systemd
from tests.helpers.wait import wait_until

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not os.environ.get("JSCHED_VM"), reason="the guest's alone: systemd is started anew"),
    pytest.mark.skipif(not systemd.SYSTEMD.exists(), reason="systemd"),
]

# Long enough for a server to be gone and there again in between.
LINES = 20
SLOWLY = f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; sleep 1; done; exit 7"
WHOLE = "".join(f"line {number}\n" for number in range(1, LINES + 1))


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Systemd]:
    """A systemd that has started the unit."""
    systemd.install(certs)
    manager = Systemd(tmp_path_factory.mktemp("systemd") / "output")
    manager.start()
    try:
        manager.do("start")
        yield manager
    finally:
        manager.close()


@pytest.fixture
def client(manager: Systemd) -> Iterator[Client]:
    """A client of it."""
    with manager.client() as client:
        yield client


def start_slowly(client: Client) -> tuple[Job, Future[str]]:
    """Start a job that takes a while, and follow it from the first line on."""
    job = client.start(JobSpec(("sh", "-c", SLOWLY), limits=Limits(memory=64 << 20)))

    def follow() -> str:
        return b"".join(chunk.data for chunk in client.follow(job.id)).decode()

    pool = ThreadPoolExecutor(1)
    followed = pool.submit(follow)
    pool.shutdown(wait=False)
    wait_until(lambda: Path(job.log_path).read_text(), 60.0, "the first line")
    return job, followed


def seen_to_its_end(client: Client, job: Job, followed: Future[str]) -> None:
    """The job has run on, its output came whole, and its limits and its end are known."""
    assert followed.result(200.0) == WHOLE
    ended = client.wait(job.id)
    assert ended.outcome == Exited(7), ended
    assert ended.pid == job.pid
    assert ended.usage is not None
    assert ended.usage.memory_peak is not None


def test_whose_it_is(manager: Systemd, client: Client) -> None:
    """The server is the unit's user's and comes first; its jobs are that user's, with limits, and do not."""
    server = manager.main_pid()
    user = pwd.getpwnam(systemd.USER)
    assert os.stat(f"/proc/{server}").st_uid == user.pw_uid
    assert os.getpriority(os.PRIO_PROCESS, server) == NICE
    assert "CapEff:\t0000000000000000" in Path(f"/proc/{server}/status").read_text().splitlines()
    job = client.start(JobSpec(("sh", "-c", "nice; id -u"), limits=Limits(memory=64 << 20)))
    assert b"".join(chunk.data for chunk in client.follow(job.id)).decode() == f"0\n{user.pw_uid}\n"
    assert client.get(job.id).unenforced == ()


def test_restart(manager: Systemd, client: Client) -> None:
    """A restart while a job runs succeeds at once; the job and who follows it do not notice."""
    before = manager.main_pid()
    job, followed = start_slowly(client)
    manager.do("restart")
    assert manager.main_pid() not in (0, before)
    assert client.get(job.id).state is JobState.RUNNING
    seen_to_its_end(client, job, followed)


def test_kill(manager: Systemd, client: Client) -> None:
    """A server that is killed while a job runs is started again by itself, and jobs have limits as before."""
    before = manager.main_pid()
    job, followed = start_slowly(client)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: manager.main_pid() not in (0, before), 60.0, "the next server")
    hungry = client.start(JobSpec(("python3", "-c", "bytearray(100 << 20)"), limits=Limits(memory=32 << 20)))
    assert client.wait(hungry.id).reason is Reason.OUT_OF_MEMORY
    seen_to_its_end(client, job, followed)


def test_reload(manager: Systemd, client: Client) -> None:
    """A reload is taken by the server that runs."""
    before = manager.main_pid()
    manager.do("reload")
    assert manager.main_pid() == before
    assert client.list()


def test_stop(manager: Systemd, client: Client) -> None:
    """A job runs on while the unit is stopped, and the next server knows how it ended."""
    job, followed = start_slowly(client)
    manager.do("stop")
    assert manager.main_pid() == 0
    wait_until(lambda: Path(job.log_path).read_text() == WHOLE, 100.0, "the job's last line")
    manager.do("start")
    seen_to_its_end(client, job, followed)
