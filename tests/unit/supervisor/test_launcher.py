"""The launcher as a process: what it holds, when it ends, and that its end costs nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.errors import Internal, Unavailable
from jsched.linux import process
from jsched.supervisor import launcher, record
from jsched.supervisor.client import Supervisor
from jsched.supervisor.record import RunRecord
from tests.helpers.wait import wait_until
from tests.unit.supervisor.conftest import Bench, alive

_HEAVY = {"grpc", "google", "sqlite3", "threading", "asyncio", "dataclasses", "inspect", "subprocess", "argparse"}
_HEAVY |= {"pathlib", "logging", "jsched.errors", "jsched.job", "jsched.state", "jsched.config"}


def test_imports_are_few() -> None:
    """The launcher's side imports nothing that would make its forks dear or unsafe."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import jsched.supervisor.launcher; print(*sys.modules)"
    root = str(Path(launcher.__file__).parents[2])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, root], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "jsched.supervisor.monitor" in modules
    assert modules.isdisjoint(_HEAVY)


def test_ends_when_the_server_closes(bench: Bench) -> None:
    """Closing the supervisor ends the launcher; the job goes on and its end is recorded."""

    async def test() -> RunRecord:
        async with bench.opened() as supervisor:
            pid = supervisor.launcher_pid
            assert pid is not None
            start = process.start_time(pid)
            run = await bench.launch("sh", "-c", "while [ ! -e /tmp/none ]; do sleep 0.01; done")
        assert not alive(pid, start)
        assert supervisor.launcher_pid is None
        assert run.pid is not None
        assert alive(run.pid, process.start_time(run.pid))
        await bench.stop(run, 5)
        assert (await bench.ended(run)).signal == signal.SIGTERM
        return run

    asyncio.run(test())


def test_ends_when_the_server_is_killed(bench: Bench, tmp_path: Path) -> None:
    """After kill -9 of the server, the launcher ends, and the job's end is recorded all the same."""
    server = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from jsched.supervisor.client import Supervisor\n"
        "async def main():\n"
        "    root = Path(sys.argv[1])\n"
        "    s = Supervisor(runs_dir=root/'runs', exits_dir=root/'exits', stops_dir=root/'stops', log_gid=None)\n"
        "    await s.open()\n"
        "    argv = ['sh', '-c', 'while [ ! -e done ]; do sleep 0.01; done; exit 7']\n"
        "    run = await s.launch('job', argv, {'PATH': '/bin:/usr/bin'}, str(root), str(root/'logs/job'), None, 1)\n"
        "    print(s.launcher_pid, flush=True)\n"
        "    await asyncio.sleep(1000)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", server, str(tmp_path)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        start = process.start_time(pid)
        running.kill()
    wait_until(lambda: not alive(pid, start), 20, "the launcher's end")
    (tmp_path / "done").touch()
    end = wait_until(lambda: record.read_exit(bench.exits, "job"), 20, "the exit record")
    assert end.exit_code == 7


def test_inherits_nothing(bench: Bench) -> None:
    """Launcher and monitor hold only their own descriptors, none of the server's."""

    async def test() -> None:
        pid = bench.supervisor.launcher_pid
        assert pid is not None
        kept = os.open("/etc/hostname", os.O_RDONLY)
        os.set_inheritable(kept, True)
        run = await bench.launch("sleep", "1000")
        # 0, 1, 2, the server's socket, signalfd; and 0, 1, 2, link, signalfd, /dev/null, log, exit room.
        wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 5, 20, "the launcher's descriptors")
        wait_until(lambda: len(os.listdir(f"/proc/{run.monitor_pid}/fd")) == 8, 20, "the monitor's descriptors")
        assert _name(pid) == "jsched-launcher"
        assert _name(run.monitor_pid) == "jsched-monitor"
        os.close(kept)
        await bench.stop(run, 0)
        await bench.ended(run)

    bench.run(test())


def test_survives_terminal_signals(bench: Bench) -> None:
    """Ctrl-C and a lost terminal do not end the launcher."""

    async def test() -> None:
        pid = bench.supervisor.launcher_pid
        assert pid is not None
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGHUP)
        assert (await bench.ended(await bench.launch("true"))).exit_code == 0
        assert bench.supervisor.launcher_pid == pid

    bench.run(test())


def test_killed_at_random(bench: Bench) -> None:
    """With the launcher killed again and again, each of 200 launches has one result and has run once."""
    chance = random.Random(2)
    together = 8

    async def one() -> str:
        # Not given back, so the next launch needs a monitor of its own.
        run = await bench.launch("sh", "-c", "echo ran")
        exits = bench.exits
        await asyncio.to_thread(wait_until, lambda: record.read_exit(exits, run.job_id), 20.0, "the exit record")
        return run.job_id

    async def kill(jobs: asyncio.Future[list[str]]) -> int:
        kills = ended = 0
        while not jobs.done():
            pid = bench.supervisor.launcher_pid
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            await asyncio.wait([jobs], timeout=chance.uniform(0.03, 0.25))
            # A launch is given up after 16 launchers. On a busy machine each may be killed before it has come to
            # anything, so every second one is left alone until all that has lost one is over.
            while kills % 2 == 0 and not jobs.done() and len(os.listdir(bench.exits)) < ended + 2 * together:
                await asyncio.wait([jobs], timeout=0.01)
            ended = len(os.listdir(bench.exits))
        return kills

    async def test() -> None:
        limit = asyncio.Semaphore(together)

        async def limited() -> str:
            async with limit:
                return await one()

        jobs = asyncio.gather(*(limited() for _ in range(200)))
        killing = asyncio.create_task(kill(jobs))
        ids = await jobs
        assert await killing >= 3
        assert len(set(ids)) == 200
        for job_id in ids:
            assert bench.log(job_id).read_text() == "ran\n"
        assert len(list(bench.logs.iterdir())) == len(list(bench.exits.iterdir())) == 200

    bench.run(test())


def test_killed_with_requests_unread(bench: Bench) -> None:
    """Launches that a killed launcher never read are started by the next one."""

    async def test() -> None:
        pid = bench.supervisor.launcher_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        waiting = [asyncio.create_task(bench.launch("echo", "ran")) for _ in range(20)]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        for run in await asyncio.gather(*waiting):
            await bench.ended(run)
            assert bench.log(run.job_id).read_text() == "ran\n"
        assert bench.supervisor.launcher_pid != pid

    bench.run(test())


def test_idle_launcher_is_replaced(bench: Bench) -> None:
    """A launcher that is killed while nothing goes on is replaced, and the old one leaves no zombie."""

    async def test() -> None:
        pid = bench.supervisor.launcher_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        supervisor = bench.supervisor
        await asyncio.to_thread(wait_until, lambda: supervisor.launcher_pid not in (None, pid), 20.0, "another")
        with pytest.raises(ProcessLookupError):
            process.start_time(pid)

    bench.run(test())


def test_monitor_killed_before_it_reports(bench: Bench, tmp_path: Path) -> None:
    """A launch whose monitor is killed fails only if the command never ran."""

    def kill_next(parent: int) -> int:
        children = Path(f"/proc/{parent}/task/{parent}/children")
        while not (found := children.read_text().split()):
            pass
        os.kill(int(found[0]), signal.SIGKILL)
        return int(found[0])

    async def attempt(number: int) -> bool:
        """Return whether the monitor was killed before it let the command go."""
        pid = bench.supervisor.launcher_pid
        assert pid is not None
        job_id = f"job{number}"
        killing = asyncio.create_task(asyncio.to_thread(kill_next, pid))
        try:
            await bench.launch("touch", str(tmp_path / job_id), job_id=job_id)
        except Internal:
            await killing
            assert record.read_exit(bench.exits, job_id) is None
            assert record.read_run(bench.runs, job_id) is None
            assert not (tmp_path / job_id).exists()
            return True
        killed = await killing
        assert record.read_run(bench.runs, job_id) is not None
        wait_until(lambda: killed not in process.family(pid), 20, "the reaping")
        return False

    async def test() -> None:
        used = await bench.launch("true")
        await bench.ended(used)
        # The one that was used last is the next to be used.
        os.kill(used.monitor_pid, signal.SIGSTOP)
        launch = asyncio.create_task(bench.launch("touch", str(tmp_path / "never")))
        await asyncio.sleep(0)
        os.kill(used.monitor_pid, signal.SIGKILL)
        with pytest.raises(Internal, match="has ended before the command was executed"):
            await launch
        assert not (tmp_path / "never").exists()
        for number in range(30):
            await attempt(number)

    bench.run(test())


def test_launcher_that_cannot_be_started(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no launcher to be had, launches fail with Unavailable, the next ones at once, and nothing spins."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def test() -> None:
        supervisor = Supervisor(runs_dir=bench.runs, exits_dir=bench.exits, stops_dir=bench.stops, log_gid=None)
        bench.supervisor = supervisor
        with pytest.raises(Unavailable):
            await supervisor.open()
        loop = asyncio.get_running_loop()
        before = loop.time()
        for _ in range(100):
            with pytest.raises(Unavailable):
                await bench.launch("true")
        assert loop.time() - before < 10
        await supervisor.close()

    asyncio.run(test())


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
