"""How long after the job's write(2) of a line one follower has it."""

from __future__ import annotations

import os
import subprocess
import time
from statistics import median
from typing import Any

from bench import writer
from bench.figure import Figure, Target
from bench.followers import Crowd
from bench.harness import Bench
from bench.load import Parent
from bench.many_followers import bare, ours
from jsched.job import JobSpec

# At the lower rate the processors fall asleep between two lines, and every thread has to be woken.
_RATES = (100.0, 1000.0)


def measure(bench: Bench) -> list[Figure]:
    return [figure for rate in _RATES for figure in _measure(bench, rate, 3 if bench.quick else 10)]


def _measure(bench: Bench, rate: float, seconds: float) -> list[Figure]:
    name = f"a line to one follower, {rate:g} lines/s, p50"
    delay = ours(bench, Crowd(1, 1, 1), rate, seconds).quantile(0.5)
    transport = bare(bench, Crowd(1, 1, 1), rate, seconds).quantile(0.5)
    return [
        Figure("one_follower", name, delay, "ms", "bare grpc.aio", transport, Target(1)),
        Figure("one_follower", name, delay, "ms", "tail -f on the host", _tail(bench, rate, seconds), Target(1)),
    ]


def _tail(bench: Bench, rate: float, seconds: float) -> float:
    go = bench.path("go")
    with bench.server() as server:
        job = server.client().start(JobSpec(writer.command(go, rate=rate, seconds=seconds)))
        with bench.load("one_follower", log=job.log_path, lines=int(rate * seconds)) as load:
            load.receive()
            go.touch()
            return float(median(load.receive())) / 1e6


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
