from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from jsched.limits import ALL_DISKS, NO_LIMITS, DiskLimit, Limits
from jsched.policy.limit_sets import LimitSet, capped, excess, names_of

MIB = 1 << 20


def limit_set(**changes: Any) -> LimitSet:
    """A table of [profiles]."""
    return LimitSet("some", MappingProxyType(changes))


def test_what_a_set_does_not_name_stays() -> None:
    """A profile replaces the defaults that it names; one that is 0, here None, is no limit any more."""
    defaults = Limits(cpus=2.0, memory=100 * MIB, pids=10)
    assert limit_set(cpus=1.0, pids=None).over(defaults) == Limits(cpus=1.0, memory=100 * MIB)


def test_a_ceiling_on_memory_is_one_on_swap() -> None:
    """Nobody gets round a ceiling on memory with swap; one that names swap says so itself."""
    assert limit_set(memory=100 * MIB).bounds.swap == 0
    assert limit_set(memory=100 * MIB, swap=MIB).bounds.swap == MIB
    assert limit_set(cpus=1.0).bounds.swap is None


BOUNDS = Limits(
    cpus=2.0,
    memory=100 * MIB,
    swap=0,
    pids=50,
    cpu_weight=100,
    disk=(DiskLimit(ALL_DISKS, write_bps=100 * MIB), DiskLimit("/dev/sda", write_bps=10 * MIB)),
)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (NO_LIMITS, None),
        (Limits(cpus=2.0, memory=100 * MIB, pids=50, swap=0, cpu_weight=100, disk_weight=10_000), None),
        (Limits(cpus=2.1), "cpus"),
        (Limits(memory=101 * MIB), "memory"),
        (Limits(swap=1), "swap"),
        (Limits(pids=51), "pids"),
        (Limits(cpu_weight=101), "cpu_weight"),
        (Limits(disk=(DiskLimit(ALL_DISKS, write_bps=100 * MIB, read_bps=10**12),)), None),
        (Limits(disk=(DiskLimit(ALL_DISKS, write_bps=101 * MIB),)), "write_bps"),
        (Limits(disk=(DiskLimit("/dev/sda", write_bps=11 * MIB),)), "write_bps"),
        (Limits(disk=(DiskLimit("8:0", write_bps=10 * MIB),)), None),
    ],
)
def test_what_is_above_a_ceiling(asked: Limits, name: str | None) -> None:
    """A limit may be asked for up to its bound, and without one as high as anybody likes."""
    assert excess(asked, BOUNDS) == name


def test_a_disk_by_another_name_is_held_to_the_lowest_bound() -> None:
    """A disk that the ceiling does not name may be one that it names: the lowest bound is that of all others."""
    assert excess(Limits(disk=(DiskLimit("8:0", write_bps=11 * MIB),)), BOUNDS) == "write_bps"


def test_limits_below_a_ceiling() -> None:
    """What is above is lowered, what is not limited gets the bound, what is below stays."""
    limits = Limits(cpus=4.0, memory=10 * MIB, disk=(DiskLimit(ALL_DISKS, write_bps=200 * MIB, read_bps=5 * MIB),))
    assert capped(limits, BOUNDS) == Limits(
        cpus=2.0,
        memory=10 * MIB,
        swap=0,
        pids=50,
        cpu_weight=100,
        disk=(
            DiskLimit(ALL_DISKS, write_bps=100 * MIB, read_bps=5 * MIB),
            DiskLimit("/dev/sda", write_bps=10 * MIB),
        ),
    )
    assert excess(capped(limits, BOUNDS), BOUNDS) is None
    assert capped(limits, NO_LIMITS) == limits


def test_names() -> None:
    """Limits are named as callers know them."""
    assert names_of(NO_LIMITS) == ()
    assert names_of(Limits(cpus=1.0, swap=0, disk=(DiskLimit("8:0", read_iops=100),))) == ("cpus", "swap", "read_iops")
