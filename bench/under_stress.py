"""How long a GetJob takes while jobs do their worst: stress-ng on CPUs, memory, processes and the disk.

Each is a job with the server's default limits. The client runs beside the server, outside of all jobs' cgroups
and with the server's priority, as one on another machine would have nothing to wait for here but the server.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import Any

from bench.channel import SERVICE, channel
from bench.figure import Figure, Target
from bench.harness import Bench, Load
from bench.load import Parent
from jsched.client import Client
from jsched.job import JobSpec
from jsched.server import priority
from jsched.v1 import jobs_pb2 as pb

STRESS = shutil.which("stress-ng")
_STRESSORS = {
    "cpu": ("--cpu", "2"),
    "vm": ("--vm", "2", "--vm-bytes", "256m"),
    "fork": ("--fork", "2"),
    "hdd": ("--hdd", "1", "--hdd-bytes", "64m"),
}
_WARM_UP = 100
# So that stress-ng has forked what it forks.
_UP_TO_SPEED = 1.0


def measure(bench: Bench) -> list[Figure]:
    if STRESS is None:
        return []
    calls = 300 if bench.quick else 2000
    with bench.server() as server, bench.load("under_stress", address=server.address, calls=calls) as load:
        client = server.client()
        job_id = client.wait(client.start(JobSpec(("true",))).id).id
        idle = _quantile(load, job_id)
        return [
            *(_figure(f"a stress-ng job, {name}", _under(client, load, job_id, name), idle) for name in _STRESSORS),
            _figure("all four at once", _under(client, load, job_id, *_STRESSORS), idle),
        ]


def _under(client: Client, load: Load, job_id: str, *names: str) -> float:
    directory = client.get(job_id).log_path.rpartition("/")[0]
    assert STRESS is not None
    jobs = [client.start(JobSpec((STRESS, "--quiet", *_STRESSORS[name], "--temp-path", directory))) for name in names]
    time.sleep(_UP_TO_SPEED)
    took = _quantile(load, job_id)
    for job in jobs:
        assert not client.stop(job.id, 5).already_ended, f"{job.spec.argv} has ended by itself"
    return took


def _quantile(load: Load, job_id: str) -> float:
    load.send(job_id)
    return float(load.receive())


def _figure(name: str, value: float, idle: float) -> Figure:
    return Figure("under_stress", f"GetJob beside {name}, p99", value, "ms", "idle", idle, Target(2, of_ratio=True))


def load(task: dict[str, Any], parent: Parent) -> None:
    priority.come_before_jobs()
    asyncio.run(_answer(task, parent))


async def _answer(task: dict[str, Any], parent: Parent) -> None:
    async with channel(task) as connection:
        get = connection.unary_unary(
            f"{SERVICE}GetJob", pb.GetJobRequest.SerializeToString, pb.GetJobResponse.FromString
        )
        while job_id := await parent.hear_async():
            times = []
            for _ in range(task["calls"] + _WARM_UP):
                began = time.perf_counter()
                await get(pb.GetJobRequest(job_id=job_id))
                times.append((time.perf_counter() - began) * 1000)
            measured = sorted(times[_WARM_UP:])
            parent.say(measured[int(len(measured) * 0.99)])
