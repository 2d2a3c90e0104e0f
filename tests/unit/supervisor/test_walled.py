"""Commands behind walls, as their monitor starts and records them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from jsched.errors import StartFailed
from jsched.isolation import ids
from jsched.isolation.sandbox import Sandbox
from jsched.linux import process
from jsched.supervisor import record, wire
from tests.helpers.wait import wait_until
from tests.helpers.walled import REPOSITORY, make_sandbox, needs_root
from tests.unit.supervisor.conftest import ENV, Bench, launch_request

pytestmark = needs_root
SLEEP = os.path.basename(os.path.realpath(shutil.which("sleep", path=ENV["PATH"]) or "sleep"))


def walls(slot: int) -> Sandbox:
    """The walls of most jobs."""
    return make_sandbox(**ids.in_range(slot)._asdict())


@pytest.mark.parametrize("code", [0, 1, 125, 126, 255])
def test_exit_code(bench: Bench, code: int) -> None:
    """The command's exit code is recorded, and not that of init."""

    async def test() -> None:
        end = await bench.ended(await bench.launch("sh", "-c", f"exit {code}", sandbox=walls))
        assert (end.exit_code, end.signal, end.failed_step) == (code, None, None)

    bench.run(test())


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV"])
def test_signal(bench: Bench, name: str) -> None:
    """A signal that ends the command is recorded, with no exit code made up."""
    number = int(getattr(signal, name))

    async def test() -> None:
        end = await bench.ended(await bench.launch("sh", "-c", f"kill -{number} $$", sandbox=walls))
        assert (end.exit_code, end.signal) == (None, number)

    bench.run(test())


def test_the_command_and_its_slot_are_recorded(bench: Bench) -> None:
    """The run record names the command by its pid on the host, and the slot whose ids it really has."""

    async def test() -> None:
        run = await bench.launch("sleep", "1000", sandbox=walls)
        assert run.pid is not None
        assert run.pid_start == process.start_time(run.pid)
        assert run.slot is not None
        owner = ids.in_range(run.slot).uid_map[0].outside + ids.USER
        # Until exec is through, what is shown of the process is init's and belongs to root.
        wait_until(lambda: os.stat(f"/proc/{run.pid}").st_uid == owner, 20, "the command's own user")
        assert os.path.basename(os.readlink(f"/proc/{run.pid}/exe")) == SLEEP
        await bench.noted(run)
        await bench.stop(run, 0)
        assert (await bench.ended(run)).signal == signal.SIGKILL

    bench.run(test())


def test_nothing_is_left(bench: Bench) -> None:
    """What the command has left running ends with it."""

    async def test() -> None:
        run = await bench.launch("sh", "-c", "setsid sleep 1000 & exit 3", sandbox=walls)
        assert (await bench.ended(run)).exit_code == 3
        assert not bench.left(run)

    bench.run(test())


@pytest.mark.parametrize(
    ("argv", "workdir", "step"), [("no-such-command", "/", "exec"), ("true", "/nowhere", "workdir")]
)
def test_a_start_that_fails(bench: Bench, argv: str, workdir: str, step: str) -> None:
    """The step that fails inside is told and recorded like one outside."""

    async def test() -> None:
        job_id = str(uuid.uuid4())
        with pytest.raises(StartFailed) as caught:
            await bench.launch(argv, job_id=job_id, workdir=workdir, sandbox=walls)
        assert (caught.value.step, caught.value.errno) == (step, 2)
        end = record.read_exit(bench.exits, job_id)
        assert end is not None
        assert (end.failed_step, end.errno, end.exit_code) == (step, 2, None)

    bench.run(test())


# A real monitor that is slow: it looks for the command's pid when init has reaped it already.
_SLOW_MONITOR = """
import sys, time
from jsched.linux import process
from jsched.supervisor import monitor, walled

execute = walled.execute

def slowly(*arguments):
    init = execute(*arguments)
    deadline = time.monotonic() + 20
    while process.children(init.pid) and time.monotonic() < deadline:
        time.sleep(0.001)
    return init

walled.execute = slowly
monitor.main(int(sys.argv[1]))
"""


def test_a_command_that_has_ended_before_its_pid_is_known(tmp_path: Path) -> None:
    """Its status is told and recorded like any other, and no pid is made up."""
    launch = launch_request(tmp_path, "sh", "-c", "exit 7", sandbox=walls(0), slot=0)
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as answers:
        ours.settimeout(60)
        command = [sys.executable, "-c", _SLOW_MONITOR, str(theirs.fileno())]
        with subprocess.Popen(command, cwd=REPOSITORY, pass_fds=[theirs.fileno()]) as monitor:
            theirs.close()
            ours.sendall(wire.encode_request(launch))
            hello = wire.Report("", monitor=(monitor.pid, process.start_time(monitor.pid)))
            assert wire.decode_report(answers.readline()) == hello
            run = wire.decode_report(answers.readline()).run
            ours.shutdown(socket.SHUT_RDWR)
            assert monitor.wait(60) == 0
    assert run is not None
    assert (run.pid, run.pid_start, run.slot) == (None, None, 0)
    end = record.read_exit(tmp_path / "exits", launch.job_id)
    assert end is not None
    assert (end.exit_code, end.signal, end.failed_step) == (7, None, None)
