"""The memory of what runs while nothing happens: server and launcher, and a job's monitor."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from bench import procfs, writer
from bench.figure import Figure, Target
from bench.harness import Bench
from jsched.job import JobSpec
from jsched.supervisor import record

_MIB = 1024 * 1024
_JOBS = 10
_IDLE = "import sys; print(flush=True); sys.stdin.read()"


def measure(bench: Bench) -> list[Figure]:
    with bench.server() as server:
        idle = procfs.pss(server.pid) + procfs.pss(server.launcher_pid)
        client = server.client()
        jobs = [client.start(JobSpec(["sleep", "1000"])) for _ in range(_JOBS)]
        runs = [record.read_run(server.data_dir / "runs", job.id) for job in jobs]
        monitor = median(procfs.private(run.monitor_pid) for run in runs if run is not None)
    with bench.load("bare", argv=writer.command(bench.path("go"), rate=1, seconds=1)) as bare:
        bare.receive()
        bare_server = procfs.pss(bare.pid)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _IDLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as python:
        assert python.stdout is not None
        python.stdout.readline()
        interpreter = procfs.private(python.pid)
        python.kill()
    return [
        Figure(
            "footprint",
            "server and launcher, idle, PSS",
            idle / _MIB,
            "MiB",
            "bare grpc.aio server",
            bare_server / _MIB,
            Target(60),
        ),
        Figure(
            "footprint",
            "a running job's monitor, private memory",
            monitor / _MIB,
            "MiB",
            "idle python -I -S",
            interpreter / _MIB,
            Target(4),
        ),
    ]
