"""From launch to exit of `true` behind all walls, beside bubblewrap: no server, no record, no cgroup.

The load process plays the monitor, so what is measured is what init and the kernel need.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.figure import Figure, Target
from bench.harness import Bench
from bench.load import Parent

TRUE = shutil.which("true") or "/bin/true"
_WARM_UP = 10
_BUBBLEWRAP = ("--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", TRUE)


def measure(bench: Bench) -> list[Figure]:
    if os.geteuid() != 0:
        return []
    rounds = 50 if bench.quick else 300
    with (
        tempfile.TemporaryDirectory(prefix="jsched-bench-") as directory,
        bench.load("walls", directory=directory, rounds=rounds) as load,
    ):
        times = load.receive()
    took = {name: median(values) * 1000 for name, values in times.items()}
    bubblewrap = took.get("bubblewrap", 0.0)
    return [
        Figure(
            "walls",
            f"`true` behind all walls, {how}, p50",
            took[ours],
            "ms",
            "bubblewrap" if bubblewrap else "not installed",
            bubblewrap,
            Target(bound, of_ratio=True),
        )
        for ours, how, bound in (
            ("spare", "init forked ahead", 1.0),
            ("forker", "init forked for it behind common walls", 1.5),
            ("at once", "init forked for it by the monitor", 1.5),
        )
    ]


def load(task: dict[str, Any], parent: Parent) -> None:
    """Take turns, so that all see the same noise."""
    from jsched.linux import syscalls

    syscalls.block_all_signals()
    ways = _ways(Path(task["directory"]))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(task["rounds"] + _WARM_UP):
        for name, way in ways.items():
            took = way()
            if number >= _WARM_UP:
                times[name].append(took)
    parent.say(times)


def _ways(directory: Path) -> dict[str, Callable[[], float]]:
    from jsched.isolation import seccomp
    from jsched.isolation.forker_process import Forker
    from jsched.isolation.sandbox import HOST, NONE, IdRange, Sandbox
    from jsched.isolation.view import DEFAULT_LIMITS, hidden_directories, masked_entries

    ids = (IdRange(0, 300_000, 65_536),)
    sandbox = Sandbox(
        mode=HOST,
        network=NONE,
        uid=1000,
        gid=1000,
        uid_map=ids,
        gid_map=ids,
        hidden=hidden_directories([]),
        masked=masked_entries(),
        limits=DEFAULT_LIMITS,
        seccomp=str(seccomp.store_program(directory, seccomp.compile_profile())),
    )
    forker = Forker(sandbox)
    ways: dict[str, Callable[[], float]] = {
        "spare": functools.partial(_spare, forker, ahead=True),
        "forker": functools.partial(_spare, forker, ahead=False),
        "at once": functools.partial(_at_once, sandbox),
    }
    if bubblewrap := shutil.which("bwrap"):
        ways["bubblewrap"] = functools.partial(_program, bubblewrap, *_BUBBLEWRAP)
    return ways


def _at_once(sandbox: Any) -> float:
    from jsched.isolation.site import Command
    from jsched.isolation.start import start

    began = time.perf_counter()
    _wait(start(sandbox, Command((TRUE,), {}), 1))
    return time.perf_counter() - began


def _spare(forker: Any, *, ahead: bool) -> float:
    from jsched.isolation.site import Command
    from jsched.isolation.spare import Spare

    began = time.perf_counter()
    spare = Spare(forker.sandbox, forker)
    if ahead:
        # Between two jobs a monitor has the time for this.
        time.sleep(0.015)
        began = time.perf_counter()
    _wait(spare.start(Command((TRUE,), {}), 1))
    return time.perf_counter() - began


def _wait(started: Any) -> None:
    started.wait_until_started()
    _, init_status = os.waitpid(started.pid, 0)
    assert started.take_status(init_status) == 0


def _program(*argv: str) -> float:
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - began
    assert status == 0, argv
    return took
