"""Limits check themselves, are laid over defaults, and sizes are read as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from jsched.errors import InvalidArgument
from jsched.limits import NO_LIMITS, DiskLimit, Limits, from_json, parse_size, shares_to_weight, size_in_words, to_json

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("100", 100),
        ("1024k", MIB),
        ("2m", 2 * MIB),
        ("2M", 2 * MIB),
        ("1g", 1024 * MIB),
        ("1T", 1024**4),
        ("512MiB", 512 * MIB),
        ("1.5g", 1536 * MIB),
        ("0.5k", 512),
        ("8388608", 8 * MIB),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Sizes are bytes, or have a unit that is a power of 1024."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "1e3", "1 m", "1kb", "5ib", "0x10", "1,5g", "٣", "1m\n", "9" * 20, "inf"]
)
def test_no_sizes(text: str) -> None:
    """Anything else is refused, by the name of what it was for."""
    with pytest.raises(InvalidArgument, match="memory") as caught:
        parse_size(text, "memory")
    assert caught.value.obj == "memory"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpus", 0),
        ("cpus", -1),
        ("cpus", 0.0009),
        ("cpus", float("nan")),
        ("cpus", float("inf")),
        ("cpu_weight", 0),
        ("cpu_weight", 10_001),
        ("memory", 8 * MIB - 1),
        ("memory", 2**63),
        ("swap", -1),
        ("pids", 0),
        ("pids", 4_194_305),
        ("disk_weight", 0),
        ("pids", 1.5),
        ("memory", 2e9),
    ],
)
def test_out_of_range(field: str, value: Any) -> None:
    """A limit that can't be meant is refused, and the field is named."""
    with pytest.raises(InvalidArgument) as caught:
        Limits(**{field: value})
    assert caught.value.obj == field


@pytest.mark.parametrize(
    "fields", [{"device": ""}, {"device": "a\0"}, {"device": "all", "read_bps": 0}, {"device": "all", "write_iops": -1}]
)
def test_disk_out_of_range(fields: dict[str, Any]) -> None:
    """So is one on a disk."""
    with pytest.raises(InvalidArgument) as caught:
        DiskLimit(**fields)
    assert caught.value.obj == "disk"


def test_over_defaults() -> None:
    """What was not asked comes from the defaults, and a disk that is named counts more than all of them."""
    asked = Limits(memory=64 * MIB, disk=(DiskLimit("8:0", read_bps=5), DiskLimit("all", read_bps=7)))
    both = asked.over(Limits(cpus=2, memory=1000 * MIB, disk=(DiskLimit("all", read_bps=9, write_bps=1),)))
    assert both.cpus == 2
    assert both.memory == 64 * MIB
    assert both.disk == (
        DiskLimit("all", read_bps=9, write_bps=1),
        DiskLimit("all", read_bps=7),
        DiskLimit("8:0", read_bps=5),
    )
    assert NO_LIMITS.over(asked).memory == asked.memory
    assert Limits(swap=0).over(Limits(swap=5)).swap == 0


def test_without() -> None:
    """A limit can be taken out; a disk of which nothing is limited any more goes with it."""
    limits = Limits(cpus=1, pids=5, disk=(DiskLimit("8:0", read_bps=5), DiskLimit("8:16", read_bps=5, write_bps=6)))
    assert limits.without("cpus") == Limits(pids=5, disk=limits.disk)
    assert limits.without("read_bps").disk == (DiskLimit("8:16", write_bps=6),)


def test_json() -> None:
    """Limits survive JSON, which holds nothing of what is not limited."""
    limits = Limits(cpus=0.5, swap=0, disk=(DiskLimit("/home", write_iops=10),))
    assert to_json(limits) == {"cpus": 0.5, "swap": 0, "disk": [{"device": "/home", "write_iops": 10}]}
    assert from_json(to_json(limits)) == limits
    assert to_json(NO_LIMITS) == {}


@pytest.mark.parametrize("value", [{"disk": [{}]}, {"disk": 5}, {"disk": ["x"]}, {"cpus": "two"}, []])
def test_no_json(value: Any) -> None:
    """What is not the JSON of limits is refused."""
    with pytest.raises(InvalidArgument):
        from_json(value)


@pytest.mark.parametrize(
    ("shares", "weight"), [(2, 1), (10, 1), (512, 50), (1024, 100), (2048, 200), (102_400, 10_000), (262_144, 10_000)]
)
def test_shares_to_weight(shares: int, weight: int) -> None:
    """Twice the shares are twice the weight, as far as weights go."""
    assert shares_to_weight(shares) == weight


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (-1, "-1 bytes"), (1024, "1 KiB"), (1025, "1025 bytes"), (8 * MIB, "8 MiB"), (3 << 40, "3 TiB")],
)
def test_sizes_in_words(size: int, words: str) -> None:
    """Sizes are told in units, and never rounded: what is a byte too little is not told as enough."""
    assert size_in_words(size) == words


def test_a_size_that_is_too_small_is_told_in_units() -> None:
    """Nobody has to count the digits of a number of bytes."""
    with pytest.raises(InvalidArgument, match=r"^memory is 1 KiB, less than 8 MiB$"):
        Limits(memory=1024)
    with pytest.raises(InvalidArgument, match=r"^memory is 8388608 TiB, more than"):
        Limits(memory=2**63)


@pytest.mark.parametrize("shares", [0, 1, 262_145])
def test_no_shares(shares: int) -> None:
    """What the kernel would not take for shares is refused."""
    with pytest.raises(InvalidArgument, match="cpu_shares"):
        shares_to_weight(shares)
