"""A hundred followers behind one connection, as behind a proxy."""

from __future__ import annotations

from bench.figure import Figure, Target
from bench.followers import Crowd
from bench.harness import Bench
from bench.many_followers import bare, ours

_CROWD = Crowd(1, 1, 100)
_RATE = 100.0


def measure(bench: Bench) -> list[Figure]:
    seconds = 3 if bench.quick else 10
    return [
        Figure(
            "shared_connection",
            f"a line to {_CROWD.size} followers on one connection, {_RATE:g} lines/s, p50",
            ours(bench, _CROWD, _RATE, seconds).quantile(0.5),
            "ms",
            "bare grpc.aio",
            bare(bench, _CROWD, _RATE, seconds).quantile(0.5),
            Target(5),
        )
    ]
