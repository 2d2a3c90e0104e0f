"""Numbers as people give them, and as the kernel takes them."""

from __future__ import annotations

import pytest

from jsched.isolation.conversion import (
    quota_and_period,
    weight_to_bfq,
    weight_to_blkio,
    weight_to_shares,
)
from jsched.limits import shares_to_weight


@pytest.mark.parametrize(
    ("cpus", "quota", "period"),
    [
        (1, 100_000, 100_000),
        (1.5, 150_000, 100_000),
        (0.2, 20_000, 100_000),
        (0.01, 1_000, 100_000),
        (0.005, 1_000, 200_000),
        (0.001, 1_000, 1_000_000),
        (64, 6_400_000, 100_000),
    ],
)
def test_quota_and_period(cpus: float, quota: int, period: int) -> None:
    """The quota is never below the kernel's least; small shares of a CPU get a longer period instead."""
    assert quota_and_period(cpus) == (quota, period)


@pytest.mark.parametrize(("weight", "shares"), [(1, 10), (50, 512), (100, 1024), (200, 2048), (10_000, 102_400)])
def test_weight_to_shares(weight: int, shares: int) -> None:
    """Everybody's weight is everybody's shares."""
    assert weight_to_shares(weight) == shares


@pytest.mark.parametrize("weight", [1, 2, 50, 100, 101, 5_000, 10_000])
def test_weight_survives(weight: int) -> None:
    """A weight that became shares and a weight again is what it was."""
    assert shares_to_weight(weight_to_shares(weight)) == weight


@pytest.mark.parametrize(("weight", "blkio"), [(1, 10), (50, 250), (100, 500), (200, 1000), (10_000, 1000)])
def test_weight_to_blkio(weight: int, blkio: int) -> None:
    """Everybody's weight is the middle of blkio.weight, and nothing is outside of its range."""
    assert weight_to_blkio(weight) == blkio


@pytest.mark.parametrize(("weight", "bfq"), [(1, 1), (100, 100), (101, 100), (5_050, 550), (10_000, 1000)])
def test_weight_to_bfq(weight: int, bfq: int) -> None:
    """Everybody's weight is 100 with BFQ too, and the largest is the largest."""
    assert weight_to_bfq(weight) == bfq
