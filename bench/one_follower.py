"""How long after the job's write(2) of a line one follower has it."""

from __future__ import annotations

import os
import subprocess
import time
from statistics import median
from typing import Any

from bench import writer
from bench.figure import Figure, Target
from bench.followers import Crowd, deliver
from bench.harness import Bench
from bench.load import Parent
from jsched.job import JobSpec

_RATE = 100.0


def measure(bench: Bench) -> list[Figure]:
    seconds = 3 if bench.quick else 10
    with bench.server() as server:
        client = server.client()
        go = bench.path("go")
        job = client.start(JobSpec(writer.command(go, rate=_RATE, seconds=seconds)))
        ours = deliver(bench, server.address, job.id, go, Crowd(1, 1, 1)).quantile(0.5)
        go = bench.path("go")
        job = client.start(JobSpec(writer.command(go, rate=_RATE, seconds=seconds)))
        with bench.load("one_follower", log=job.log_path, lines=int(_RATE * seconds)) as load:
            load.receive()
            go.touch()
            tail = median(load.receive()) / 1e6
    return [Figure("one_follower", "a line to one follower, p50", ours, "ms", "tail -f on the host", tail, Target(1))]


def load(task: dict[str, Any], parent: Parent) -> None:
    """Read what tail(1) prints, and say the delays in nanoseconds."""
    delays: list[int] = []
    with subprocess.Popen(["tail", "-n", "+1", "-f", task["log"]], stdout=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        fd = tail.stdout.fileno()
        rest = os.read(fd, 65536)[writer.LINE :]
        parent.say("ready")
        while len(delays) < task["lines"]:
            rest += os.read(fd, 65536)
            now = time.monotonic_ns()
            while len(rest) >= writer.LINE:
                delays.append(now - int(rest[: writer.LINE]))
                rest = rest[writer.LINE :]
        tail.kill()
    parent.say(delays)
