"""An init that a monitor keeps ready: the next job gets it if it fits, and nothing is left of it in any case."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jsched.errors import FailedPrecondition, JschedError
from jsched.isolation import ids
from jsched.isolation.cgroup_plan import CgroupPlan
from jsched.isolation.sandbox import ROOTFS, Bind, Sandbox
from jsched.linux import process
from jsched.supervisor.record import RunRecord
from jsched.supervisor.spares import Spares
from jsched.supervisor.wire import LaunchRequest
from tests.helpers.wait import wait_until
from tests.helpers.walled import make_sandbox, needs_root
from tests.unit.supervisor.conftest import Bench, alive

pytestmark = needs_root


def walls(slot: int) -> Sandbox:
    """The walls of most jobs."""
    return make_sandbox(**ids.in_range(slot)._asdict())


def other_walls(slot: int) -> Sandbox:
    """Walls that no spare of the first kind fits."""
    return walls(slot)._replace(scratch_size=32 << 20)


async def spare_of(run: RunRecord) -> int:
    """Return the pid of the spare that the monitor of an ended job has, once it waits for a command."""
    return await asyncio.to_thread(wait_until, lambda: child_called(run, "jsched-init"), 20.0, "a spare")


def child_called(run: RunRecord, name: str) -> int | None:
    """Return the pid of the monitor's one child of that name, if it has one."""
    found = []
    for pid in process.children(run.monitor_pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                found.append(pid)
    return found[0] if len(found) == 1 else None


async def first_job(bench: Bench) -> tuple[RunRecord, int]:
    """Run a job behind walls to its end; return it and its monitor's spare."""
    run = await bench.launch("true", sandbox=walls)
    assert (await bench.ended(run)).exit_code == 0
    return run, await spare_of(run)


async def one_spare_and_no_more(run: RunRecord) -> None:
    """Wait until the job's monitor has the descriptors of a forker and a spare, and none of another."""
    wanted = {"mountinfo": 1, "pipe": 2}
    await asyncio.to_thread(wait_until, lambda: _descriptors(run) == wanted, 20.0, "descriptors of one spare alone")


def _descriptors(run: RunRecord) -> dict[str, int]:
    directory = f"/proc/{run.monitor_pid}/fd"
    targets = []
    for fd in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            if int(fd) > 2:
                targets.append(os.readlink(f"{directory}/{fd}"))
    return {kind: sum(kind in target for target in targets) for kind in ("mountinfo", "pipe")}


def test_the_next_job_gets_the_spare(bench: Bench) -> None:
    """A job with the walls of the one before is started by the init that is ready, and alone behind them."""

    async def uses_it() -> bool:
        first, spare = await first_job(bench)
        second = await bench.launch("sh", "-c", "set -- /proc/[0-9]*; echo $# inside; sleep 1000", sandbox=walls)
        assert second.monitor_pid == first.monitor_pid
        used = spare in process.children(first.monitor_pid)
        assert not used or second.pid in process.children(spare)
        await bench.said(second, "2 inside\n")
        await bench.stop(second, 0)
        assert (await bench.ended(second)).signal == signal.SIGKILL
        assert not bench.left(second)
        return used

    async def test() -> None:
        # A spare does not fit any more when somebody on this host mounts something.
        for _ in range(10):
            if await uses_it():
                return
        pytest.fail("no job gets the spare")

    bench.run(test())


def test_a_spare_that_dies(bench: Bench) -> None:
    """A spare that is killed while it waits costs the next job nothing: it gets an init of its own."""

    async def test() -> None:
        first, spare = await first_job(bench)
        start = process.start_time(spare)
        os.kill(spare, signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: not alive(spare, start), 20.0, "the end of the spare")
        second = await bench.launch("sh", "-c", "echo started; exit 5", sandbox=walls)
        assert second.monitor_pid == first.monitor_pid
        assert (await bench.ended(second)).exit_code == 5
        assert bench.log(second.job_id).read_text() == "started\n"
        assert await spare_of(second) != spare
        await one_spare_and_no_more(second)

    bench.run(test())


def test_a_spare_that_does_not_fit(bench: Bench) -> None:
    """A job with other walls gets those, one without walls has none, and the spare is ended."""

    async def test() -> None:
        first, spare = await first_job(bench)
        start = process.start_time(spare)
        second = await bench.launch("df", "-B1", "--output=size", "/tmp", sandbox=other_walls)
        assert second.monitor_pid == first.monitor_pid
        assert (await bench.ended(second)).exit_code == 0
        assert str(32 << 20) in bench.log(second.job_id).read_text()
        assert not alive(spare, start)
        before = await spare_of(second)
        third = await bench.launch("readlink", "/proc/self/ns/pid")
        assert third.monitor_pid == first.monitor_pid
        assert (await bench.ended(third)).exit_code == 0
        assert bench.log(third.job_id).read_text().strip() == os.readlink("/proc/self/ns/pid")
        assert before not in process.children(first.monitor_pid)

    bench.run(test())


def test_a_launch_that_fails_before_it_is_the_spares_turn(bench: Bench) -> None:
    """The spare of a launch that fails early is ended and leaves no descriptor, and the next job runs."""

    async def test() -> None:
        first, spare = await first_job(bench)
        start = process.start_time(spare)
        for _ in range(3):
            with pytest.raises(FailedPrecondition, match=r"log file .*File exists"):
                await bench.launch("true", job_id=first.job_id, sandbox=walls)
            await spare_of(first)
        assert not alive(spare, start)
        await one_spare_and_no_more(first)
        second = await bench.launch("true", sandbox=walls)
        assert second.monitor_pid == first.monitor_pid
        assert (await bench.ended(second)).exit_code == 0

    bench.run(test())


def test_a_command_that_can_not_be_executed(bench: Bench) -> None:
    """What fails in a spare fails like anywhere else, with its step and errno, and leaves nothing."""

    async def test() -> None:
        first, _ = await first_job(bench)
        job_id = str(uuid.uuid4())
        with pytest.raises(JschedError, match="cannot execute 'no-such-command': No such file or directory"):
            await bench.launch("no-such-command", job_id=job_id, sandbox=walls)
        await spare_of(first)
        await one_spare_and_no_more(first)
        assert not process.processes_with_environment(f"JSCHED_JOB_ID={job_id}".encode())

    bench.run(test())


def test_the_spare_ends_with_the_server(bench: Bench) -> None:
    """A monitor without a server ends, and what it kept ready with it."""

    async def test() -> None:
        async with bench.opened():
            _, spare = await first_job(bench)
            start = process.start_time(spare)
        await asyncio.to_thread(wait_until, lambda: not alive(spare, start), 20.0, "the end of the spare")

    asyncio.run(test())


def hold_namespaces(pid: int, held: contextlib.ExitStack) -> dict[str, int]:
    """Return the numbers of a process's namespaces, kept open: the kernel gives the number of one that ended again."""
    inodes = {}
    for path in Path(f"/proc/{pid}/ns").iterdir():
        # The two for children are names of namespaces that are here already, or of none yet.
        if not path.name.endswith("_for_children"):
            inodes[path.name] = os.fstat(held.enter_context(path.open()).fileno()).st_ino
    return inodes


def test_the_forker_serves_one_job_after_the_other(bench: Bench) -> None:
    """Jobs with the same walls have inits of one forker, and each its own /tmp and namespaces."""

    async def test(held: contextlib.ExitStack) -> None:
        first, _ = await first_job(bench)
        forker = child_called(first, "jsched-forker")
        assert forker is not None
        seen = []
        for _ in range(20):
            run = await bench.launch("sh", "-c", "ls -A /tmp; touch /tmp/mine; echo ready; sleep 1000", sandbox=walls)
            await bench.said(run, "ready\n")
            assert run.pid is not None
            namespaces = hold_namespaces(run.pid, held)
            await bench.stop(run, 0)
            await bench.ended(run)
            await spare_of(run)
            if child_called(run, "jsched-forker") == forker:
                seen.append((namespaces, bench.log(run.job_id).read_text()))
            # One does not fit any more when somebody on this host mounts something.
            forker = child_called(run, "jsched-forker")
            if len(seen) == 2:
                break
        (one, of_one), (other, of_other) = seen
        assert of_one == of_other == "ready\n"
        assert {kind for kind in one if one[kind] != other[kind]} == {"cgroup", "ipc", "mnt", "net", "pid", "uts"}

    with contextlib.ExitStack() as held:
        bench.run(test(held))


def test_a_forker_that_dies_while_a_job_runs(bench: Bench) -> None:
    """A job outlives the forker of its init, is recorded as it ends, and the next one runs."""

    async def test() -> None:
        first, _ = await first_job(bench)
        second = await bench.launch("sh", "-c", "echo ready; sleep 1000", sandbox=walls)
        await bench.said(second, "ready\n")
        if forker := child_called(second, "jsched-forker"):
            start = process.start_time(forker)
            os.kill(forker, signal.SIGKILL)
            await asyncio.to_thread(wait_until, lambda: not alive(forker, start), 20.0, "the end of the forker")
        await bench.stop(second, 0)
        assert (await bench.ended(second)).signal == signal.SIGKILL
        third = await bench.launch("sh", "-c", "exit 4", sandbox=walls)
        assert third.monitor_pid == first.monitor_pid
        assert (await bench.ended(third)).exit_code == 4
        await spare_of(third)
        await one_spare_and_no_more(third)

    bench.run(test())


def test_the_forker_ends_with_its_monitor(bench: Bench) -> None:
    """kill -9 of a monitor takes its forker and its spare along."""

    async def test() -> None:
        first, spare = await first_job(bench)
        kept = [(pid, process.start_time(pid)) for pid in process.children(first.monitor_pid)]
        assert spare in [pid for pid, _ in kept]
        os.kill(first.monitor_pid, signal.SIGKILL)
        for pid, start in kept:
            await asyncio.to_thread(wait_until, lambda: not alive(pid, start), 20.0, "the end of what it kept")  # noqa: B023

    bench.run(test())


def request(**fields: Any) -> LaunchRequest:
    """Return a request whose walls are those of most jobs, with other values for some fields."""
    given: dict[str, Any] = {"cgroup": None, "sandbox": walls(0), **fields}
    return LaunchRequest("id", ("true",), {}, "/", "/l", None, "/r", "/e", "/s", None, 1.0, 30.0, **given)


@contextlib.contextmanager
def open_link() -> Iterator[int]:
    """A link through which nothing comes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours.fileno()


V2 = CgroupPlan(2, "/sys/fs/cgroup", ())


@pytest.mark.parametrize(
    "last",
    [
        request(sandbox=None),
        request(sandbox=walls(0)._replace(mode=ROOTFS, rootfs="/usr")),
        request(sandbox=walls(0)._replace(binds=(Bind("/usr", "/mnt"),))),
        request(cgroup=V2),
    ],
    ids=["no walls", "root file system", "binds", "cgroup v2"],
)
def test_no_spare_that_is_in_the_way(last: LaunchRequest) -> None:
    """What a spare would keep busy, or can't be moved into its cgroup, is not prepared."""
    spares = Spares()
    with open_link() as link:
        spares.prepare(last, link)
    assert spares.take(request()) is None


def test_walls_that_can_not_be_built(tmp_path: Path) -> None:
    """A spare that fails is none: the next job finds out what is wrong."""
    spares = Spares()
    with open_link() as link:
        spares.prepare(request(sandbox=walls(0)._replace(seccomp=str(tmp_path / "missing"))), link)
        spares.prepare(request(sandbox=walls(0)._replace(hostname="x" * 65)), link)
    assert spares.take(request()) is None
