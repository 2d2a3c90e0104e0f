"""How jobs are made to end, with all they have forked."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.helpers.wait import wait_until
from tests.unit.supervisor.conftest import Bench

# Two generations away, in a session of its own, deaf to SIGTERM: what forks away from a job looks like.
RUNAWAY = (
    "import os, signal, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "        signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    "        print('runaway', os.getpid(), flush=True)\n"
    "        time.sleep(1000)\n"
    "    os._exit(0)\n"
    "os.wait()\n"
)
DEAF = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(1000)\n"
)


def test_stop_that_is_obeyed(bench: Bench) -> None:
    """A command that SIGTERM ends is stopped, not forced, long before the grace is over."""

    async def test() -> None:
        run = await bench.launch("sleep", "1000")
        await bench.stop(run, 60)
        end = await bench.ended(run)
        assert (end.stopped, end.signal, end.forced, end.timed_out) == (True, signal.SIGTERM, False, False)

    bench.run(test())


def test_stop_with_an_exit_code(bench: Bench) -> None:
    """A command that handles SIGTERM keeps its own exit code."""

    async def test() -> None:
        run = await bench.launch("sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
        await bench.said(run, "ready")
        await bench.stop(run, 60)
        end = await bench.ended(run)
        assert (end.stopped, end.exit_code, end.signal, end.forced) == (True, 3, None, False)
        # The shell may tell in between that the signal, which goes to the group, has ended its sleep.
        assert bench.log(run.job_id).read_text().endswith("bye\n")

    bench.run(test())


def test_stop_of_a_deaf_command(bench: Bench) -> None:
    """A command that ignores SIGTERM gets SIGKILL when the grace is over, not before."""

    async def test() -> None:
        run = await bench.launch("python3", "-c", DEAF)
        await bench.said(run, "deaf")
        asked = time.time_ns()
        await bench.stop(run, 0.4)
        end = await bench.ended(run)
        assert (end.stopped, end.signal, end.forced) == (True, signal.SIGKILL, True)
        assert end.ended_at_ns - asked > 0.35e9

    bench.run(test())


def test_grace_of_zero(bench: Bench) -> None:
    """With no grace SIGKILL comes at once, and SIGTERM never."""

    async def test() -> None:
        run = await bench.launch("sh", "-c", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done")
        await bench.said(run, "ready")
        await bench.stop(run, 0)
        end = await bench.ended(run)
        assert (end.stopped, end.signal, end.forced) == (True, signal.SIGKILL, True)
        assert bench.log(run.job_id).read_text() == "ready\n"

    bench.run(test())


def test_second_stop_is_sooner(bench: Bench) -> None:
    """A second stop with less grace moves the end forward; one with more does not put it off."""

    async def test() -> None:
        run = await bench.launch("python3", "-c", DEAF)
        await bench.said(run, "deaf")
        for grace in (1000, 0.2, 1000):
            await bench.stop(run, grace)
        assert (await bench.ended(run)).forced

    bench.run(test())


def test_stop_of_the_ended(bench: Bench) -> None:
    """A stop that comes after the end changes nothing and raises nothing."""

    async def test() -> None:
        run = await bench.launch("sleep", "1000")
        pidfd = os.pidfd_open(run.monitor_pid)
        await bench.stop(run, 0)
        end = await bench.ended(run)
        bench.supervisor.note_stop(run.job_id, 5)
        bench.supervisor.signal_stop(pidfd)
        os.close(pidfd)
        assert await bench.ended(run) == end

    bench.run(test())


def test_stop_without_a_request_file(bench: Bench) -> None:
    """SIGTERM to the monitor alone stops the job with the grace it was launched with."""

    async def test() -> None:
        run = await bench.launch("python3", "-c", DEAF, grace=0.2)
        await bench.said(run, "deaf")
        os.kill(run.monitor_pid, signal.SIGTERM)
        end = await bench.ended(run)
        assert (end.stopped, end.forced) == (True, True)

    bench.run(test())


def test_stopped_by_the_terminal_signal(bench: Bench) -> None:
    """A command that is suspended by SIGSTOP can be stopped, and sees SIGTERM before the grace is over."""

    async def test() -> None:
        run = await bench.launch("sleep", "1000")
        assert run.pid is not None
        os.kill(run.pid, signal.SIGSTOP)
        await bench.stop(run, 60)
        end = await bench.ended(run)
        assert (end.signal, end.forced) == (signal.SIGTERM, False)

    bench.run(test())


def test_nothing_is_left_of_a_nasty_tree(bench: Bench) -> None:
    """Children that forked twice, changed session and ignore SIGTERM are gone before the end is recorded."""

    async def test() -> None:
        run = await bench.launch("python3", "-c", RUNAWAY + DEAF)
        await bench.said(run, "runaway")
        await bench.said(run, "deaf")
        assert len(bench.left(run)) == 2
        await bench.stop(run, 0.2)
        wait_until(lambda: (bench.exits / run.job_id).exists(), 20, "the exit record")
        assert bench.left(run) == []
        assert (await bench.ended(run)).forced

    bench.run(test())


def test_fork_storm(bench: Bench) -> None:
    """Processes that keep forking and leaving are all caught."""
    storm = (
        "import os, time\n"
        "print('storm', flush=True)\n"
        "end = time.monotonic() + 60\n"
        "for _ in range(8):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        while time.monotonic() < end:\n"
        "            if os.fork() != 0:\n"
        "                os._exit(0)\n"
        "time.sleep(1000)\n"
    )

    async def test() -> None:
        run = await bench.launch("python3", "-c", storm)
        await bench.said(run, "storm")
        await bench.stop(run, 0)
        wait_until(lambda: (bench.exits / run.job_id).exists(), 30, "the exit record")
        assert bench.left(run) == []

    bench.run(test())


def test_left_over_children(bench: Bench) -> None:
    """When the command ends by itself, its children go with it, and the end is still its own."""

    async def test() -> None:
        run = await bench.launch("python3", "-c", RUNAWAY + "time.sleep(0.1)\nsys.exit(4)\n")
        wait_until(lambda: (bench.exits / run.job_id).exists(), 20, "the exit record")
        assert bench.left(run) == []
        end = await bench.ended(run)
        assert (end.exit_code, end.stopped, end.forced) == (4, False, False)

    bench.run(test())


def test_orphans_are_reaped(bench: Bench) -> None:
    """Orphans that end while the command runs are not kept as zombies."""

    async def test() -> None:
        run = await bench.launch("sh", "-c", "for i in 1 2 3; do (true &) ; done; echo forked; sleep 1000")
        await bench.said(run, "forked")
        children = Path(f"/proc/{run.monitor_pid}/task/{run.monitor_pid}/children")
        wait_until(lambda: children.read_text().split() == [str(run.pid)], 20, "the reaping")
        await bench.stop(run, 0)
        await bench.ended(run)

    bench.run(test())


def test_time_limit(bench: Bench) -> None:
    """At its time limit a command gets SIGTERM, and SIGKILL after its grace."""

    async def test() -> None:
        polite = await bench.ended(await bench.launch("sleep", "1000", timeout=0.3))
        assert (polite.timed_out, polite.stopped, polite.signal, polite.forced) == (True, False, signal.SIGTERM, False)
        assert polite.started_at_ns is not None
        assert polite.ended_at_ns - polite.started_at_ns >= 0.3e9
        run = await bench.launch("python3", "-c", DEAF, timeout=1.0, grace=0.1)
        deaf = await bench.ended(run)
        assert (deaf.timed_out, deaf.signal, deaf.forced) == (True, signal.SIGKILL, True)
        quick = await bench.ended(await bench.launch("true", timeout=100))
        assert (quick.timed_out, quick.exit_code) == (False, 0)

    bench.run(test())


def test_monitor_is_deaf_to_a_terminal(bench: Bench) -> None:
    """Signals that a terminal or a careless administrator sends do not end a monitor."""

    async def test() -> None:
        run = await bench.launch("sleep", "1000")
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTSTP, signal.SIGUSR1):
            os.kill(run.monitor_pid, number)
        await bench.stop(run, 60)
        end = await bench.ended(run)
        assert (end.stopped, end.signal) == (True, signal.SIGTERM)

    bench.run(test())
