"""What a follower costs the server while nothing happens: memory, and CPU time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import grpc

from bench import procfs, writer
from bench.channel import SERVICE, channel
from bench.figure import Figure, Target
from bench.followers import Crowd
from bench.harness import Bench
from bench.load import Parent
from jsched.job import JobSpec
from jsched.v1 import jobs_pb2 as pb

_KIB = 1024
_AT_ONCE = 32


def measure(bench: Bench) -> list[Figure]:
    followers = 100 if bench.quick else 1000
    own, sharing = Crowd(2, followers // 2, 1), Crowd(1, 1, followers)
    own_memory, own_cpu = _ours(bench, own)
    sharing_memory, _ = _ours(bench, sharing)
    bare_own_memory, bare_own_cpu = _bare(bench, own)
    bare_sharing_memory, _ = _bare(bench, sharing)
    name = "an idle follower, server memory"
    bare_name = "bare grpc.aio"
    return [
        Figure(
            "idle_followers",
            f"{name}, connection of its own",
            own_memory / _KIB,
            "KiB",
            bare_name,
            bare_own_memory / _KIB,
            Target(100),
        ),
        Figure(
            "idle_followers",
            f"{name}, sharing one",
            sharing_memory / _KIB,
            "KiB",
            bare_name,
            bare_sharing_memory / _KIB,
            Target(25),
        ),
        Figure(
            "idle_followers",
            f"idle server with {own.size} connected followers",
            own_cpu * 100,
            "% of a core",
            bare_name,
            bare_own_cpu * 100,
            Target(5),
        ),
    ]


def _ours(bench: Bench, crowd: Crowd) -> tuple[float, float]:
    with bench.server() as server:
        client = server.client()
        job = client.start(JobSpec(["sh", "-c", "echo; sleep 1000"]))
        return _costs(bench, server.pid, server.address, job.id, crowd)


def _bare(bench: Bench, crowd: Crowd) -> tuple[float, float]:
    with bench.load("bare", argv=writer.command(bench.path("go"), rate=1, seconds=1)) as server:
        return _costs(bench, server.pid, server.receive(), "00000000", crowd)


def _costs(bench: Bench, pid: int, address: str, job_id: str, crowd: Crowd) -> tuple[float, float]:
    """Return what the server's memory grew by, in bytes a follower, and its share of a core while all are idle."""
    seconds = 3.0 if bench.quick else 15.0
    task = {"address": address, "job": job_id}
    with contextlib.ExitStack() as stack:
        # What the first follower costs is not the price of one more.
        first = stack.enter_context(bench.load("idle_followers", connections=1, followers=1, **task))
        first.receive()
        before = procfs.pss(pid)
        counts = {"connections": crowd.connections, "followers": crowd.followers}
        loads = [stack.enter_context(bench.load("idle_followers", **counts, **task)) for _ in range(crowd.processes)]
        for load in loads:
            load.receive()
        memory = procfs.pss(pid) - before
        cpu, began = procfs.cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        share = (procfs.cpu_seconds(pid) - cpu) / (time.monotonic() - began)
    return memory / crowd.size, share


def load(task: dict[str, Any], parent: Parent) -> None:
    """Follow, say so when every follower has the first message, and stay."""
    asyncio.run(_stay(task, parent))


async def _stay(task: dict[str, Any], parent: Parent) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def begin(connection: grpc.aio.Channel) -> Any:
        method: Any = connection.unary_stream(
            f"{SERVICE}StreamOutput", pb.StreamOutputRequest.SerializeToString, pb.StreamOutputResponse.FromString
        )
        async with gate:
            call = method(pb.StreamOutputRequest(job_id=task["job"], follow=True))
            message = await call.read()
            assert message is not grpc.aio.EOF
        return call

    connections = [channel(task) for _ in range(task["connections"])]
    calls = await asyncio.gather(*(begin(one) for one in connections for _ in range(task["followers"])))
    parent.say(len(calls))
    await parent.hear_async()
