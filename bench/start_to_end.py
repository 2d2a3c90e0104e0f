"""From a start to its end: `true` through the API, one after the other, and without jsched."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.figure import Figure, Target
from bench.harness import Bench
from bench.load import Parent
from jsched.client import Client
from jsched.client.settings import load as load_settings
from jsched.job import JobSpec
from tests.helpers.server import WITHOUT_WALLS

TRUE = shutil.which("true") or "/bin/true"
_WARM_UP = 50


# Nothing but the way of a job through server, monitor and log.
BARE_JOBS = WITHOUT_WALLS + "[limits]\nenabled = false\n"


def measure(bench: Bench) -> list[Figure]:
    return [
        _measure(bench, "no walls, no limits", BARE_JOBS, Target(6, of_ratio=True)),
        _measure(bench, "in a cgroup", WITHOUT_WALLS, None),
        _measure(bench, "all walls and limits", "", None),
    ]


def _measure(bench: Bench, how: str, config: str, target: Target | None) -> Figure:
    task = {"rounds": _rounds(bench)}
    with bench.server(config) as server, bench.load("start_to_end", address=server.address, **task) as load:
        times = load.receive()
    ours, bare = (median(times[name]) * 1000 for name in ("ours", "bare"))
    return Figure(
        "start_to_end",
        f"`true`, start to end, one after the other, {how}, p50",
        ours,
        "ms",
        "posix_spawn + waitpid",
        bare,
        target,
    )


def load(task: dict[str, Any], parent: Parent) -> None:
    """Take turns between the API and posix_spawn(3), so that both see the same noise."""
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    settings = load_settings({"config": Path(task["certs"]) / "admin.toml", "server": task["address"]}, environ={})
    spec = JobSpec([TRUE])
    with Client(settings) as client:
        for number in range(task["rounds"] + _WARM_UP):
            began = time.perf_counter()
            job = client.wait(client.start(spec).id)
            ours = time.perf_counter() - began
            assert job.outcome is not None
            began = time.perf_counter()
            os.waitpid(os.posix_spawn(TRUE, [TRUE], os.environ), 0)
            bare = time.perf_counter() - began
            if number >= _WARM_UP:
                times["ours"].append(ours)
                times["bare"].append(bare)
    parent.say(times)


def _rounds(bench: Bench) -> int:
    return 200 if bench.quick else 1000
