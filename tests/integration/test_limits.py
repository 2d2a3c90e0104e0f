"""Limits, through the whole server: they hold, they are told, and nothing is left of them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.confinement import Confinement, Mode
from jsched.errors import FailedPrecondition
from jsched.isolation.discovery import look
from jsched.isolation.hierarchy import Hierarchy, group_name
from jsched.job import Exited, JobSpec, Reason, Signaled
from jsched.limits import Limits
from jsched.state import JobState
from tests.helpers.aftermath import DEADLINE, assert_nothing_left, end_jobs, in_background, is_gone
from tests.helpers.cgroups import cgroups_of
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

MEBIBYTE = 1024 * 1024
HOG = "import sys; kept = []\nwhile True: kept.append(bytearray(1024 * 1024)); print(len(kept), flush=True)"
# Connections in which what was sent lies unread, as much as goes in; prints how many MiB that is.
SOCKETS = """
import socket
server = socket.create_server(("127.0.0.1", 0))
kept, held = [], 0
for _ in range(40):
    kept += [socket.create_connection(server.getsockname()), server.accept()[0]]
    kept[-2].setblocking(False)
    try:
        while True:
            held += kept[-2].send(bytes(1 << 16))
    except BlockingIOError:
        pass
print(held >> 20)
"""
# As wide as it has to be where system calls are slow.
pytestmark = pytest.mark.timeout(300)


def hierarchy(server: Server) -> Hierarchy:
    """Return where the server has its jobs' cgroups; skips the test on a machine without."""
    found = look(group_name(server.data_dir))
    if not isinstance(found, Hierarchy):
        pytest.skip(f"no cgroups: {found.reason}")
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Server]:
    """A server for the tests here, of which some kill it and start it again."""
    server = Server(tmp_path_factory.mktemp("limited") / "server", certs)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def limited(shared: Server) -> Iterator[Server]:
    """A server whose jobs have cgroups, and of which the test leaves none."""
    if not shared.is_running:
        shared.start()
    place = hierarchy(shared)
    yield shared
    end_jobs(shared)
    wait_until(lambda: place.jobs() == set(), DEADLINE, f"no cgroup, not {place.jobs()}")


def test_memory(limited: Server) -> None:
    """A job that takes more memory than it may is TERMINATED, out of memory, and its peak is told."""
    client = limited.client()
    job = client.start(JobSpec([sys.executable, "-c", HOG], limits=Limits(memory=64 * MEBIBYTE)))
    ended = client.wait(job.id)
    assert (ended.state, ended.reason, ended.outcome) == (
        JobState.TERMINATED,
        Reason.OUT_OF_MEMORY,
        Signaled(signal.SIGKILL),
    )
    assert ended.usage is not None
    assert ended.usage.oom_kills
    if ended.usage.memory_peak is not None:
        assert 48 * MEBIBYTE < ended.usage.memory_peak <= 65 * MEBIBYTE
    assert ended.applied is not None
    assert ended.applied.memory == 64 * MEBIBYTE
    assert_nothing_left(limited)


def test_memory_in_sockets(limited: Server) -> None:
    """What lies in a job's connections is limited with its memory: the host's are not made to wait for room."""
    client = limited.client()
    job = client.start(JobSpec([sys.executable, "-c", SOCKETS], limits=Limits(memory=48 * MEBIBYTE)))
    assert client.wait(job.id).outcome in (Exited(0), Signaled(signal.SIGKILL))
    printed = b"".join(chunk.data for chunk in client.follow(job.id)).decode()
    assert not printed or 1 < int(printed) <= 64, printed
    assert_nothing_left(limited)


def test_cpus(limited: Server) -> None:
    """A busy loop gets the share of a CPU that it was given, and its usage is told while it runs."""
    client = limited.client()
    job = client.start(JobSpec(["sh", "-c", "while :; do :; done"], limits=Limits(cpus=0.2)))

    def used() -> tuple[float, float]:
        usage = client.get(job.id).usage
        assert usage is not None
        assert usage.cpu_user is not None
        assert usage.cpu_system is not None
        return usage.cpu_user + usage.cpu_system, usage.throttled or 0.0

    wait_until(lambda: used()[0] > 0.1, DEADLINE, "the loop")
    for _ in range(3):
        began, before = time.monotonic(), used()
        wait_until(lambda since=began: time.monotonic() - since > 4, DEADLINE, "some seconds")  # type: ignore[misc]
        after, seconds = used(), time.monotonic() - began
        share, held_back = ((one - other) / seconds for one, other in zip(after, before, strict=True))
        assert share < 0.23
        if held_back > 0.6:
            break
    # Where it was not held back most of the time, the machine was too busy to give it its share.
    assert share > 0.17 or held_back < 0.6
    stopped = client.stop(job.id, 0).job
    assert stopped.usage is not None
    assert stopped.usage.throttled


def test_fork_bomb(limited: Server) -> None:
    """A fork bomb has the processes that it may have and no more; other jobs run, and a stop ends it."""
    client = limited.client()
    bomb = "import os\nprint('armed', flush=True)\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    job = client.start(JobSpec([sys.executable, "-c", bomb], limits=Limits(pids=20, cpus=0.5)))
    place = hierarchy(limited).cgroup(job.id)
    wait_until(lambda: len(place.processes()) == 20, DEADLINE, "as many processes as it may have")
    assert client.wait(client.start(JobSpec(["true"])).id).outcome == Exited(0)
    assert len(place.processes()) <= 20
    assert client.stop(job.id, 0).job.state is JobState.STOPPED
    assert_nothing_left(limited)


def test_the_profile(limited: Server) -> None:
    """A job that asks for nothing gets the limits of the server's profile, and is born in a cgroup of its own."""
    client = limited.client()
    job = client.start(JobSpec(["sleep", "1000"]))
    assert job.pid is not None
    assert job.applied is not None
    assert (job.applied.memory, job.applied.pids) == (1000 * MEBIBYTE, 512)
    assert any(path.endswith(f"/{job.id}") for path in cgroups_of(job.pid).values())
    run = Path(f"/proc/{job.pid}/stat").read_text().rpartition(")")[2].split()
    monitor = int(run[1])
    assert not any(job.id in path for path in cgroups_of(monitor).values())
    client.stop(job.id, 0)


def test_its_cgroup_is_the_root_of_all_cgroups(limited: Server) -> None:
    """A job sees its own cgroup as the root in each hierarchy that it is in, whoever has forked its init, and when."""
    client = limited.client()
    # The first has an init that its monitor forks, the others those that were ahead of them.
    for _ in range(4):
        spec = JobSpec(["sh", "-c", "cat /proc/self/cgroup; echo; sleep 1000"], confinement=Confinement(Mode.HOST))
        job = client.start(spec)
        printed = b""
        for chunk in client.follow(job.id):
            printed += chunk.data
            if printed.endswith(b"\n\n"):
                break
        assert job.pid is not None
        own = {where for where, path in cgroups_of(job.pid).items() if path.endswith(f"/{job.id}")}
        assert own
        seen = dict(line.split(":", 2)[1:] for line in printed.decode().split())
        assert {where: seen[where] for where in own} == dict.fromkeys(own, "/")
        assert not any(job.id in path or "jsched" in path for path in seen.values())
        client.stop(job.id, 0)


def test_what_cannot_be_applied(limited: Server) -> None:
    """A limit that was asked for and that this machine can't apply is refused by its controller's name."""
    client = limited.client()
    asked = Limits(disk_weight=200)
    if not hierarchy(limited).plan("job", asked).unenforced:
        pytest.skip("this machine has disk weights")
    before = client.list().jobs
    with pytest.raises(FailedPrecondition, match="controller"):
        client.start(JobSpec(["true"], limits=asked))
    assert client.list().jobs == before


def test_nobody_escapes_a_lost_monitor(limited: Server) -> None:
    """After kill -9 of the monitor, what has left its session, its parent and its environment is found and killed."""
    escape = (
        "import os, sys\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.execve('/bin/sh', ['sh', '-c', 'echo $$; exec sleep 1000'], {})\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "os.execv('/bin/sleep', ['sleep', '1000'])\n"
    )
    client = limited.client()
    job = client.start(JobSpec([sys.executable, "-c", escape]))
    escaped = int(next(client.follow(job.id)).data)
    start = int(Path(f"/proc/{escaped}/stat").read_text().rpartition(")")[2].split()[19])
    assert job.pid is not None
    monitor = int(Path(f"/proc/{job.pid}/stat").read_text().rpartition(")")[2].split()[1])
    waiter = in_background(client.wait, job.id)
    os.kill(monitor, signal.SIGKILL)
    assert waiter.result(DEADLINE).state is JobState.UNKNOWN
    assert is_gone(escaped, start)
    assert_nothing_left(limited)


def test_a_restart(limited: Server) -> None:
    """A job keeps its cgroup through kill -9 of the server, and one that nobody owns is swept at the next start."""
    client = limited.client()
    job = client.start(JobSpec(["sleep", "1000"], limits=Limits(memory=64 * MEBIBYTE)))
    limited.kill()
    place = hierarchy(limited)
    left = place.plan("11111111-1111-4111-8111-111111111111", Limits()).cgroup
    assert left is not None
    place.cgroup("11111111-1111-4111-8111-111111111111").make()
    limited.start()
    assert place.jobs() == {job.id}
    usage = client.get(job.id).usage
    assert usage is not None
    assert usage.memory_current is not None
    assert client.stop(job.id, 0).job.state is JobState.STOPPED
