"""Followers of one job: load processes that read streams and note when which byte came."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from bench.channel import SERVICE, channel
from bench.harness import Bench, Broken
from bench.load import Parent
from bench.writer import LINE, written_at
from jsched.v1 import jobs_pb2 as pb

_BIN_NS = 10_000
_CONNECTING_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many processes, with how many connections each, with how many followers each."""

    processes: int
    connections: int
    followers: int

    @property
    def size(self) -> int:
        return self.processes * self.connections * self.followers


@dataclass(slots=True)
class Delivery:
    """What all followers got: the hashes of it, and how many had which delay."""

    digests: set[str] = field(default_factory=set)
    bins: Counter[int] = field(default_factory=Counter)
    ended: int = 0

    def add(self, report: dict[str, Any]) -> None:
        self.digests.update(report["digests"])
        self.bins.update({int(number): count for number, count in report["bins"].items()})
        self.ended += report["ended"]

    def quantile(self, share: float) -> float:
        """Return the delay, in milliseconds, that this share of all lines did not exceed."""
        left = share * self.bins.total()
        for number in sorted(self.bins):
            left -= self.bins[number]
            if left <= 0:
                return (number + 0.5) * _BIN_NS / 1e6
        raise Broken("no line was delivered")


def deliver(bench: Bench, address: str, job_id: str, go: Path, crowd: Crowd) -> Delivery:
    """Let a crowd follow a job; when all of it has the first line, let the job go on, to its end."""
    delivery = Delivery()
    with contextlib.ExitStack() as stack:
        task = {"address": address, "job": job_id, "connections": crowd.connections, "followers": crowd.followers}
        loads = [stack.enter_context(bench.load("followers", **task)) for _ in range(crowd.processes)]
        for load in loads:
            load.receive()
        go.touch()
        for load in loads:
            delivery.add(load.receive())
    if delivery.ended != crowd.size:
        raise Broken(f"{crowd.size - delivery.ended} of {crowd.size} followers were not told of the job's end")
    return delivery


def load(task: dict[str, Any], parent: Parent) -> None:
    asyncio.run(_follow(task, parent))


@dataclass(slots=True, eq=False)
class _Follower:
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    hash: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))
    ended: bool = False

    async def follow(
        self, connection: grpc.aio.Channel, job_id: str, begun: asyncio.Event, kept: bytearray | None
    ) -> None:
        method: Any = connection.unary_stream(
            f"{SERVICE}StreamOutput", pb.StreamOutputRequest.SerializeToString, pb.StreamOutputResponse.FromString
        )
        call = method(pb.StreamOutputRequest(job_id=job_id, follow=True))
        end = 0
        while (message := await call.read()) is not grpc.aio.EOF:
            now = time.monotonic_ns()
            data = message.data
            assert message.offset == end, f"a message at {message.offset} after {end}"
            end += len(data)
            self.hash.update(data)
            self.arrivals.append((now, end))
            if kept is not None:
                kept += data
            self.ended = message.HasField("ended")
            begun.set()


async def _follow(task: dict[str, Any], parent: Parent) -> None:
    content = bytearray()
    async with contextlib.AsyncExitStack() as stack:
        followers: list[_Follower] = []
        tasks: list[asyncio.Task[None]] = []
        gate = asyncio.Semaphore(_CONNECTING_AT_ONCE)

        async def begin(connection: grpc.aio.Channel) -> None:
            async with gate:
                begun = asyncio.Event()
                follower = _Follower()
                followers.append(follower)
                kept = content if len(followers) == 1 else None
                following = asyncio.create_task(follower.follow(connection, task["job"], begun, kept))
                tasks.append(following)
                first = asyncio.create_task(begun.wait())
                await asyncio.wait((first, following), return_when=asyncio.FIRST_COMPLETED)
                first.cancel()
                if following.done():
                    following.result()

        connections = [await stack.enter_async_context(channel(task)) for _ in range(task["connections"])]
        await asyncio.gather(*(begin(connection) for connection in connections for _ in range(task["followers"])))
        parent.say("ready")
        await asyncio.gather(*tasks)
    times = written_at(bytes(content))
    bins: Counter[int] = Counter()
    for follower in followers:
        _count(follower.arrivals, times, bins)
    parent.say(
        {
            "digests": sorted({follower.hash.hexdigest() for follower in followers}),
            "bins": bins,
            "ended": sum(follower.ended for follower in followers),
        }
    )


def _count(arrivals: list[tuple[int, int]], times: list[int], bins: Counter[int]) -> None:
    """Count the delay of each line: it has come when its last byte has."""
    # The first line was there before the measurement began.
    line = 0
    for arrived, end in arrivals:
        whole = end // LINE - 1
        for number in range(line, whole):
            bins[(arrived - times[number]) // _BIN_NS] += 1
        line = max(line, whole)
