"""Monitors are used again, one job after the other, and never two at once."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from jsched.linux import process
from jsched.supervisor import pool, record
from tests.helpers.wait import wait_until
from tests.unit.supervisor.conftest import Bench, alive


def test_used_again(bench: Bench) -> None:
    """The next job gets the monitor that the last one had, and nothing of the last one's."""

    async def test() -> None:
        first = await bench.launch("sh", "-c", "kill -9 $$", workdir="/tmp", env={"PATH": "/bin", "FIRST": "1"})
        assert (await bench.ended(first)).signal == signal.SIGKILL
        second = await bench.launch("sh", "-c", "env; pwd; umask; ls -l /proc/$$/fd", workdir="/")
        end = await bench.ended(second)
        assert second.monitor_pid == first.monitor_pid
        assert (end.exit_code, end.signal, end.stopped) == (0, None, False)
        said = bench.log(second.job_id).read_text()
        assert "FIRST" not in said
        assert first.job_id not in said
        assert "\n/\n0022\n" in said

    bench.run(test())


def test_usage_is_the_jobs_own(bench: Bench) -> None:
    """What an earlier job of the same monitor has used does not count for the next."""
    busy = "x = bytearray(100 * 1024 * 1024)\nfor i in range(3_000_000): pass"

    async def test() -> None:
        first = await bench.launch("python3", "-c", busy)
        before = await bench.ended(first)
        second = await bench.launch("true")
        after = await bench.ended(second)
        assert second.monitor_pid == first.monitor_pid
        assert before.max_rss > 100 * 1024 * 1024 > after.max_rss
        assert before.cpu_user > 0.03 > after.cpu_user

    bench.run(test())


def test_held_until_released(bench: Bench) -> None:
    """A monitor whose job has ended, and may still be stopped as far as anybody knows, gets no other."""

    async def test() -> None:
        first = await bench.launch("true")
        await asyncio.to_thread(wait_until, lambda: record.read_exit(bench.exits, first.job_id), 20.0, "its end")
        second = await bench.launch("true")
        assert second.monitor_pid != first.monitor_pid
        await bench.ended(second)
        await bench.ended(first)

    bench.run(test())


def test_a_stop_that_comes_too_late(bench: Bench) -> None:
    """A stop that finds the job ended does not hit the monitor's next one."""

    async def test() -> None:
        first = await bench.launch("true")
        await asyncio.to_thread(wait_until, lambda: record.read_exit(bench.exits, first.job_id), 20.0, "its end")
        await bench.stop(first, 0)
        bench.supervisor.release(first.job_id)
        second = await bench.launch("sh", "-c", "trap 'echo hit' TERM; sleep 0.3 & wait; exit 4")
        assert second.monitor_pid == first.monitor_pid
        end = await bench.ended(second)
        assert (end.exit_code, end.stopped) == (4, False)
        assert bench.log(second.job_id).read_bytes() == b""

    bench.run(test())


def test_an_idle_monitor_that_is_killed(bench: Bench) -> None:
    """A monitor that is killed while it waits is not given a job."""

    async def test() -> None:
        first = await bench.launch("true")
        await bench.ended(first)
        os.kill(first.monitor_pid, signal.SIGKILL)
        gone = lambda: not alive(first.monitor_pid, first.monitor_start)  # noqa: E731
        await asyncio.to_thread(wait_until, gone, 20.0, "its end")
        await asyncio.sleep(0.05)
        second = await bench.launch("true")
        assert (await bench.ended(second)).exit_code == 0

    bench.run(test())


def test_those_without_a_job_end_with_the_supervisor(bench: Bench) -> None:
    """Closing the supervisor ends the monitors that wait, and none that watches."""

    async def test() -> None:
        async with bench.opened() as supervisor:
            runs = [await bench.launch("sleep", "1000") for _ in range(3)]
            for run in runs[:2]:
                await bench.stop(run, 0)
                await bench.ended(run)
            launcher = supervisor.launcher_pid
            assert launcher is not None
            monitors = process.family(launcher)
        watching = runs[2].monitor_pid
        others = {pid: start for pid, start in monitors.items() if pid not in (watching, runs[2].pid)}
        wait_until(lambda: not any(alive(*one) for one in others.items()), 20, "the end of those that wait")
        assert alive(watching, runs[2].monitor_start)
        await bench.stop(runs[2], 0)
        await bench.ended(runs[2])

    asyncio.run(test())


def test_worn_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that has had so many jobs ends, and the next job has another."""
    monkeypatch.setattr(pool, "_MOST_JOBS", 2)

    async def test() -> None:
        seen = []
        for _ in range(3):
            run = await bench.launch("true")
            await bench.ended(run)
            seen.append(run.monitor_pid)
        assert seen[0] == seen[1] != seen[2]

    bench.run(test())


def test_trimmed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a rush, those that nobody uses end, but for the spare."""
    monkeypatch.setattr(pool, "_IDLE_SECONDS", 0.2)

    async def test() -> None:
        for run in await asyncio.gather(*(bench.launch("true") for _ in range(8))):
            await bench.ended(run)
        launcher = bench.supervisor.launcher_pid
        assert launcher is not None
        await asyncio.to_thread(wait_until, lambda: len(process.children(launcher)) == 1, 20.0, "one that is left")
        run = await bench.launch("true")
        assert (await bench.ended(run)).exit_code == 0

    bench.run(test())


def test_a_record_that_can_not_be_written(bench: Bench, tmp_path: Path) -> None:
    """A monitor that can't say how its job ended ends itself, so that the job counts as lost, not as running."""

    async def test() -> None:
        run = await bench.launch("sh", "-c", f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
        bench.exits.rmdir()
        (tmp_path / "go").touch()
        gone = lambda: not alive(run.monitor_pid, run.monitor_start)  # noqa: E731
        await asyncio.to_thread(wait_until, gone, 20.0, "the monitor's end")
        bench.exits.mkdir()

    bench.run(test())
