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
    """How many processes, with how many connections each, with how many followers each.

    `module` is the load process: `followers` with grpc.aio, or `thin_followers`, one a connection.
    """

    processes: int
    connections: int
    followers: int
    module: str = "followers"

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
        loads = [stack.enter_context(bench.load(crowd.module, **task)) for _ in range(crowd.processes)]
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


class Record:
    """What one follower got, and when: with each message, the time and the offset of its end."""

    def __init__(self, kept: bytearray | None) -> None:
        self.arrivals: list[tuple[int, int]] = []
        self.hash = hashlib.blake2b(digest_size=16)
        self.ended = False
        self._end = 0
        self._kept = kept

    def take(self, message: pb.StreamOutputResponse, now: int) -> None:
        data = message.data
        assert message.offset == self._end, f"a message at {message.offset} after {self._end}"
        assert not self.ended, "a message after the end"
        self._end += len(data)
        self.hash.update(data)
        self.arrivals.append((now, self._end))
        if self._kept is not None:
            self._kept += data
        self.ended = message.HasField("ended")


def report(records: list[Record], content: bytes) -> dict[str, Any]:
    """Return what Delivery.add() takes; `content` is what one of the followers got."""
    times = written_at(content)
    bins: Counter[int] = Counter()
    for record in records:
        _count(record.arrivals, times, bins)
    return {
        "digests": sorted({record.hash.hexdigest() for record in records}),
        "bins": bins,
        "ended": sum(record.ended for record in records),
    }


async def _read(connection: grpc.aio.Channel, job_id: str, record: Record, begun: asyncio.Event) -> None:
    method: Any = connection.unary_stream(
        f"{SERVICE}StreamOutput", pb.StreamOutputRequest.SerializeToString, pb.StreamOutputResponse.FromString
    )
    call = method(pb.StreamOutputRequest(job_id=job_id, follow=True))
    while (message := await call.read()) is not grpc.aio.EOF:
        record.take(message, time.monotonic_ns())
        begun.set()


async def _follow(task: dict[str, Any], parent: Parent) -> None:
    content = bytearray()
    async with contextlib.AsyncExitStack() as stack:
        records: list[Record] = []
        tasks: list[asyncio.Task[None]] = []
        gate = asyncio.Semaphore(_CONNECTING_AT_ONCE)

        async def begin(connection: grpc.aio.Channel) -> None:
            async with gate:
                begun = asyncio.Event()
                records.append(Record(None if records else content))
                following = asyncio.create_task(_read(connection, task["job"], records[-1], begun))
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
    parent.say(report(records, bytes(content)))


def _count(arrivals: list[tuple[int, int]], times: list[int], bins: Counter[int]) -> None:
    """Count the delay of each line: it has come when its last byte has."""
    # The first line was there before the measurement began.
    line = 0
    for arrived, end in arrivals:
        whole = end // LINE - 1
        for number in range(line, whole):
            bins[(arrived - times[number]) // _BIN_NS] += 1
        line = max(line, whole)
