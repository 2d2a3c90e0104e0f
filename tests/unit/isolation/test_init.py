"""Init: how the command starts, ends and is told of, and what becomes of it when others end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.isolation.sandbox import Bind
from jsched.linux import process
from tests.helpers import walled
from tests.helpers.wait import wait_until
from tests.helpers.walled import make_sandbox, needs_root, probe_python

pytestmark = needs_root

SH = "/bin/sh"


@pytest.fixture(params=[False, True], ids=["at once", "spare"])
def spare(request: pytest.FixtureRequest) -> bool:
    """Whether init is forked ahead of its job."""
    return bool(request.param)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """The host has no more mounts of the kinds that init makes than before."""
    before = set(_mounts_of_inits_kinds())
    yield
    assert set(_mounts_of_inits_kinds()) - before == set()


def _mounts_of_inits_kinds() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        kinds = [(line, line.partition(" - ")[2].split()[:2]) for line in lines]
    # What is mounted by fsmount(2) without a source has "none" for one. So has what the kernel mounts by
    # itself for whoever looks there, like tracefs.
    return [line for line, kind in kinds if kind in (["devpts", "none"], ["proc", "none"], ["tmpfs", "none"])]


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", -9)])
def test_the_wait_status_is_the_commands_own(tmp_path: Path, spare: bool, script: str, code: int) -> None:
    """Exit codes and signals arrive as they were, and init itself ends well."""
    outcome = walled.run(make_sandbox(), [SH, "-c", script], log=tmp_path / "log", spare=spare)
    assert outcome.reports.started
    assert outcome.exit_code == code
    assert outcome.init_status == 0


def test_a_command_that_is_not_there(tmp_path: Path, spare: bool) -> None:
    """A missing command is a failure of exec with ENOENT, by name in PATH and by path."""
    for name in ("no-such-command", "/usr/bin/no-such-command"):
        outcome = walled.run(make_sandbox(), [name], log=tmp_path / "log", spare=spare)
        assert (outcome.reports.failed_step, outcome.reports.errno) == ("exec", 2)
        assert not outcome.reports.started
        assert outcome.output == ""


def test_a_command_that_may_not_be_executed(tmp_path: Path) -> None:
    """A file without permission to execute is EACCES, and so is one of that name in PATH if there is no other."""
    for name in ("/etc/passwd", "passwd"):
        env = walled.ENVIRONMENT | {"PATH": "/nowhere:/etc:/nowhere"}
        outcome = walled.run(make_sandbox(), [name], log=tmp_path / "log", env=env)
        assert (outcome.reports.failed_step, outcome.reports.errno) == ("exec", 13)


def test_a_missing_working_directory_is_told_by_its_step(tmp_path: Path, spare: bool) -> None:
    """The first step that fails is told by its name with its errno."""
    outcome = walled.run(make_sandbox(), ["true"], log=tmp_path / "log", workdir="/nowhere", spare=spare)
    assert (outcome.reports.failed_step, outcome.reports.errno) == ("workdir", 2)


def test_a_failing_wall_is_told_by_its_step(tmp_path: Path) -> None:
    """A wall that can't be built is told by name, on the monitor's side and on init's, and nothing runs."""
    nowhere = make_sandbox(binds=(Bind("/nowhere", "/mnt"),))
    assert walled.run(nowhere, ["true"], log=tmp_path / "log").reports.failed_step == "sources:0"
    unwritable = make_sandbox(binds=(Bind("/usr", "/usr/nowhere"),))
    assert walled.run(unwritable, ["true"], log=tmp_path / "log").reports.failed_step == "bind:0"
    too_long = make_sandbox(hostname="x" * 65)
    assert walled.run(too_long, ["true"], log=tmp_path / "log").reports.failed_step == "hostname"


def test_root_of_the_host_is_never_the_user(tmp_path: Path) -> None:
    """Without a user namespace, user 0 and capabilities would be the host's: both are refused."""
    sandbox = make_sandbox(uid=0, gid=0, uid_map=(), gid_map=())
    reports = walled.run(sandbox, ["true"], log=tmp_path / "log").reports
    assert (reports.failed_step, reports.errno) == ("user", 1)
    sandbox = make_sandbox(uid=310_000, gid=310_000, uid_map=(), gid_map=(), capabilities=1)
    reports = walled.run(sandbox, ["true"], log=tmp_path / "log").reports
    assert (reports.failed_step, reports.errno) == ("bounding-set", 1)


def test_an_empty_environment(tmp_path: Path) -> None:
    """The command has the environment that was asked for, and nothing of the monitor's."""
    outcome = walled.run(make_sandbox(), ["/usr/bin/env"], log=tmp_path / "log", env={"A": "é", "PATH": "/bin"})
    assert sorted(outcome.output.splitlines()) == ["A=é", "PATH=/bin"]


def test_a_large_command_comes_whole(tmp_path: Path, spare: bool) -> None:
    """A command line far beyond a socket's buffer arrives unchanged."""
    arguments = [str(number) * 500 for number in range(900)]
    argv = [SH, "-c", 'echo "$#"; printf %s "$*" | wc -c', "sh", *arguments]
    outcome = walled.run(make_sandbox(), argv, log=tmp_path / "log", spare=spare)
    assert outcome.output.split() == ["900", str(len(" ".join(arguments)))]


@pytest.mark.parametrize("error", ["OSError(5, 'x')", "RuntimeError('a defect')"])
def test_an_init_that_nobody_listens_to_ends(error: str) -> None:
    """With its step failed and its monitor gone init ends there, and never goes on as a second monitor."""
    code = f"""
import json, os, sys
from jsched.isolation import plan, surroundings
from jsched.isolation.sandbox import Sandbox
from jsched.isolation.site import Command
from jsched.isolation.start import start
from jsched.linux import syscalls
syscalls.block_all_signals()
gate, opener = os.pipe()
def fail(site):
    os.read(gate, 1)
    surroundings.forget_monitor(site)
    raise {error}
plan.COMMON = (plan.Step('late', fail),)
log = os.open('/dev/null', os.O_WRONLY)
started = start(Sandbox.from_fields(json.loads(sys.argv[1])), Command(('true',), {{}}), log)
os.close(started.fileno())
os.write(opener, b'.')
print(os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1]), flush=True)
"""
    command = [sys.executable, "-c", code, json.dumps(make_sandbox())]
    done = subprocess.run(command, cwd=walled.REPOSITORY, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("127\n", "")


def _init(monitor: subprocess.Popen[str]) -> int:
    assert monitor.stderr is not None
    return int(monitor.stderr.readline())


def test_signals_are_forwarded(tmp_path: Path) -> None:
    """What is sent to init from outside reaches the command's whole process group, SIGTERM and SIGUSR1 too."""
    log = tmp_path / "log"
    script = "trap 'echo term; exit 3' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.01; done"
    monitor = walled.start_monitor(make_sandbox(), [SH, "-c", script], log=log)
    init = _init(monitor)
    wait_until(lambda: "ready" in log.read_text(), 20, "the command")
    os.kill(init, signal.SIGUSR1)
    wait_until(lambda: "usr1" in log.read_text(), 20, "the signal")
    os.kill(init, signal.SIGTERM)
    printed, _ = monitor.communicate(timeout=30)
    assert "term" in log.read_text()
    assert f"{3 << 8}" in printed


def test_init_holds_one_pipe_and_nothing_else(tmp_path: Path, spare: bool) -> None:
    """While the command runs init has no descriptor but the pipe to the monitor, and no privilege."""
    log = tmp_path / "log"
    monitor = walled.start_monitor(make_sandbox(), [SH, "-c", "echo ready; exec sleep 1000"], log=log, spare=spare)
    init = _init(monitor)
    wait_until(lambda: "ready" in log.read_text(), 20, "the command")
    held = wait_until(lambda: _only(os.listdir(f"/proc/{init}/fd")), 20, "init to close the log")
    assert os.readlink(f"/proc/{init}/fd/{held}").startswith("pipe:")
    status = dict(line.split(":\t") for line in Path(f"/proc/{init}/status").read_text().splitlines() if ":\t" in line)
    assert [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")] == [0, 0, 0]
    assert status["Uid"].split() == [str(300_000 + walled.USER)] * 4
    os.kill(init, signal.SIGKILL)
    monitor.communicate(timeout=30)


def test_what_a_job_takes_is_not_counted_as_roots(tmp_path: Path, spare: bool) -> None:
    """What the kernel counts for each user is the job's own: signals that wait for it take none of root's away."""
    log = tmp_path / "log"
    code = (
        "import ctypes, os, signal, time\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])\n"
        "send = ctypes.CDLL(None).sigqueue\n"
        "print(sum(send(os.getpid(), signal.SIGRTMIN, None) == 0 for _ in range(3000)), flush=True)\n"
        "time.sleep(1000)\n"
    )
    monitor = walled.start_monitor(make_sandbox(), [probe_python(), "-I", "-c", code], log=log, spare=spare)
    init = _init(monitor)
    wait_until(lambda: "\n" in log.read_text(), 20, "the signals")
    waiting = re.search(r"^SigQ:\t(\d+)/", Path("/proc/self/status").read_text(), re.MULTILINE)
    os.kill(init, signal.SIGKILL)
    monitor.communicate(timeout=30)
    assert log.read_text() == "3000\n"
    assert waiting is not None
    assert int(waiting[1]) < 3000


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def test_orphans_are_reaped_and_end_with_the_command(tmp_path: Path) -> None:
    """Processes that lost their parent are init's, no zombie stays, and none outlives the command."""
    log = tmp_path / "log"
    mark = f"1000.{os.getpid()}"
    script = (
        f"(setsid sleep {mark} & ); for i in 1 2 3; do (true & ); done; "
        "while grep -l '^State:.Z' /proc/[0-9]*/status; do sleep 0.01; done >/dev/null 2>&1; echo clean"
    )
    outcome = walled.run(make_sandbox(), [SH, "-c", script], log=log)
    assert (outcome.exit_code, outcome.output) == (0, "clean\n")
    assert not any(mark in _arguments(pid) for pid in os.listdir("/proc") if pid.isdigit())


@pytest.mark.parametrize("victim", ["monitor", "init"])
def test_everything_ends_with_the_monitor_and_with_init(tmp_path: Path, victim: str) -> None:
    """Whoever is killed above the command takes it along, and all that it has started."""
    log = tmp_path / "log"
    script = "trap '' TERM HUP; setsid sleep 1000 & echo ready; wait"
    monitor = walled.start_monitor(make_sandbox(), [SH, "-c", script], log=log)
    init = _init(monitor)
    wait_until(lambda: "ready" in log.read_text(), 20, "the command")
    family = wait_until(lambda: _family_of(init, 2), 20, "the processes")
    os.kill(monitor.pid if victim == "monitor" else init, signal.SIGKILL)
    wait_until(lambda: not any(process.is_alive(*member) for member in family.items()), 20, "the end")
    printed, _ = monitor.communicate(timeout=30)
    if victim == "init":
        # The pipe ended without a word about the command, which the kernel has killed with init.
        reports, init_status = json.loads(printed)
        assert (reports[-1], init_status) == (signal.SIGKILL, signal.SIGKILL)


def _family_of(pid: int, size: int) -> dict[int, int] | None:
    found = process.family(pid)
    return found if len(found) == size else None


def _arguments(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
