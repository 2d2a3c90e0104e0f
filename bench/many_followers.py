"""A thousand followers, each with a connection of its own, of a job that prints a thousand lines a second."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bench import writer
from bench.figure import Figure, Target
from bench.followers import Crowd, Delivery, deliver
from bench.harness import Bench, Broken
from jsched.job import JobSpec

_RATE = 1000.0
_PROCESSES = 2


def measure(bench: Bench) -> list[Figure]:
    crowd = Crowd(_PROCESSES, (100 if bench.quick else 1000) // _PROCESSES, 1, "thin_followers")
    seconds = 3 if bench.quick else 10
    return [
        Figure(
            "many_followers",
            f"a line to {crowd.size} followers, {_RATE:g} lines/s, p50, every byte to all",
            ours(bench, crowd, _RATE, seconds).quantile(0.5),
            "ms",
            "bare grpc.aio",
            bare(bench, crowd, _RATE, seconds).quantile(0.5),
            Target(60),
        )
    ]


def ours(bench: Bench, crowd: Crowd, rate: float, seconds: float) -> Delivery:
    """Deliver a job of jsched to a crowd; raises Broken unless everyone got exactly what its log holds."""
    go = bench.path("go")
    with bench.server() as server:
        job = server.client().start(JobSpec(writer.command(go, rate=rate, seconds=seconds)))
        delivery = deliver(bench, server.address, job.id, go, crowd)
        content = Path(job.log_path).read_bytes()
    if len(content) != writer.LINE * (1 + int(rate * seconds)):
        raise Broken(f"the log has {len(content)} bytes")
    if delivery.digests != {hashlib.blake2b(content, digest_size=16).hexdigest()}:
        raise Broken("what the followers got is not what the log holds")
    return delivery


def bare(bench: Bench, crowd: Crowd, rate: float, seconds: float) -> Delivery:
    """Deliver the same job's output from a server that does nothing else."""
    go = bench.path("go")
    with bench.load("bare", argv=writer.command(go, rate=rate, seconds=seconds)) as server:
        return deliver(bench, server.receive(), "00000000", go, crowd)
