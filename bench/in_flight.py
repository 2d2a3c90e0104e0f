"""Many at a time: how many jobs a second start and end with 16 of them in flight."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from bench.channel import SERVICE, channel
from bench.figure import Figure, Target
from bench.harness import Bench
from bench.load import Parent
from bench.start_to_end import BARE_JOBS, TRUE
from jsched.v1 import jobs_pb2 as pb
from tests.helpers.server import WITHOUT_WALLS

IN_FLIGHT = 16
_JOBS = 320


def measure(bench: Bench) -> list[Figure]:
    return [
        _measure(bench, "no walls, no limits", BARE_JOBS, Target(250, at_least=True)),
        _measure(bench, "in a cgroup each", WITHOUT_WALLS, None),
        _measure(bench, "all walls and limits", "", Target(150, at_least=True)),
    ]


def _measure(bench: Bench, how: str, config: str, target: Target | None) -> Figure:
    rounds = 2 if bench.quick else 8
    with bench.server(config) as server, bench.load("in_flight", address=server.address, rounds=rounds) as load:
        rates = load.receive()
    return Figure(
        "in_flight",
        f"`true`, {IN_FLIGHT} in flight, {how}",
        median(rates["ours"]),
        "jobs/s",
        f"posix_spawn + waitpid, {IN_FLIGHT} in flight",
        median(rates["bare"]),
        target,
    )


def load(task: dict[str, Any], parent: Parent) -> None:
    parent.say(asyncio.run(_rates(task)))


async def _rates(task: dict[str, Any]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"ours": [], "bare": []}
    async with channel(task) as connection:
        start = connection.unary_unary(
            f"{SERVICE}StartJob", pb.StartJobRequest.SerializeToString, pb.StartJobResponse.FromString
        )
        wait = connection.unary_unary(
            f"{SERVICE}WaitJob", pb.WaitJobRequest.SerializeToString, pb.WaitJobResponse.FromString
        )

        async def work(turns: Iterator[int]) -> None:
            for _ in turns:
                job = await start(pb.StartJobRequest(argv=[TRUE]))
                ended = await wait(pb.WaitJobRequest(job_id=job.job_id))
                assert ended.job.state == pb.JOB_STATE_COMPLETED, ended

        for number in range(1 + task["rounds"]):
            began = time.perf_counter()
            turns = iter(range(_JOBS))
            await asyncio.gather(*(work(turns) for _ in range(IN_FLIGHT)))
            ours = _JOBS / (time.perf_counter() - began)
            bare = _spawn_all()
            if number:
                rates["ours"].append(ours)
                rates["bare"].append(bare)
    return rates


def _spawn_all() -> float:
    began = time.perf_counter()
    for number in range(_JOBS):
        if number >= IN_FLIGHT:
            os.wait()
        os.posix_spawn(TRUE, [TRUE], os.environ)
    for _ in range(IN_FLIGHT):
        os.wait()
    return _JOBS / (time.perf_counter() - began)
