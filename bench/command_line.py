"""What a command of jsched-cli costs beside the import of gRPC that it can't do without."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.figure import Figure, Target
from bench.harness import Bench
from jsched.job import JobSpec

# As for whoever has installed it: compiled once, and not in each command.
_KEEPING_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


def measure(bench: Bench) -> list[Figure]:
    ours, bare = [], []
    with bench.server() as server:
        client = server.client()
        job = client.wait(client.start(JobSpec(["true"])).id)
        for number in range(6 if bench.quick else 31):
            one = _seconds(lambda: server.cli("status", job.id, env=_KEEPING_BYTECODE).check_returncode())
            other = _seconds(lambda: subprocess.run([sys.executable, "-c", "import grpc"], check=True))
            # The first of each fills caches.
            if number:
                ours.append(one)
                bare.append(other)
    return [
        Figure(
            "command_line",
            "jsched-cli status, p50",
            median(ours) * 1000,
            "ms",
            "python -c 'import grpc'",
            median(bare) * 1000,
            Target(1.5, of_ratio=True),
        )
    ]


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
