"""What people ask for → the numbers that the two versions of the kernel's interface take. Pure.

Sources: Documentation/scheduler/sched-bwc.rst, admin-guide/cgroup-v1/, admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from jsched.limits import DEFAULT_SHARES, DEFAULT_WEIGHT, MAX_SHARES, MAX_WEIGHT, MIN_SHARES

_PERIOD = 100_000
_LONGEST_PERIOD = 1_000_000
_SHORTEST_QUOTA = 1_000
_DEFAULT_BLKIO, _MIN_BLKIO, _MAX_BLKIO = 500, 10, 1000
_MAX_BFQ = 1000


def quota_and_period(cpus: float) -> tuple[int, int]:
    """Return how many microseconds of CPU time there are in a period of how many microseconds.

    The period is 100 ms, and longer where the quota would be less than the kernel's 1 ms.
    """
    period = min(max(_PERIOD, round(_SHORTEST_QUOTA / cpus)), _LONGEST_PERIOD)
    return max(round(cpus * period), _SHORTEST_QUOTA), period


def weight_to_shares(weight: int) -> int:
    """Return the CPU shares of a weight, in proportion."""
    return _clamp(round(weight * DEFAULT_SHARES / DEFAULT_WEIGHT), MIN_SHARES, MAX_SHARES)


def weight_to_blkio(weight: int) -> int:
    """Return what blkio.weight takes, 10 to 1000 with 500 in the middle, for a weight; in proportion."""
    return _clamp(round(weight * _DEFAULT_BLKIO / DEFAULT_WEIGHT), _MIN_BLKIO, _MAX_BLKIO)


def weight_to_bfq(weight: int) -> int:
    """Return what the BFQ scheduler takes, 1 to 1000 with 100 in the middle, for a weight.

    In proportion up to 100; above, 100 to 10,000 are spread over 100 to 1000.
    """
    if weight <= DEFAULT_WEIGHT:
        return weight
    return DEFAULT_WEIGHT + round(
        (weight - DEFAULT_WEIGHT) * (_MAX_BFQ - DEFAULT_WEIGHT) / (MAX_WEIGHT - DEFAULT_WEIGHT)
    )


def _clamp(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)
