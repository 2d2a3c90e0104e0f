"""The limits of a job: what may be asked for, in which units, and how sizes are written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from jsched.errors import InvalidArgument
from jsched.frozen import frozen

ALL_DISKS = "all"

# exec(3) of an ordinary program, its libraries and its page tables take a few MiB.
MIN_MEMORY = 8 * 1024 * 1024
# The kernel grants no slice below 1 ms and no period above 1 s, so this is the least there is.
# Source: Documentation/scheduler/sched-bwc.rst
MIN_CPUS = 0.001
MAX_CPUS = 8192.0
MIN_WEIGHT, DEFAULT_WEIGHT, MAX_WEIGHT = 1, 100, 10_000
# What version 1 of cgroups has in place of a CPU weight. Source: kernel/sched/sched.h, MIN_SHARES
MIN_SHARES, DEFAULT_SHARES, MAX_SHARES = 2, 1024, 262_144
# One read ahead of the kernel's, 128 KiB, passes in an eighth of a second.
LEAST_RATES = {"read_bps": 1 << 20, "write_bps": 1 << 20, "read_iops": 50, "write_iops": 50}
# The largest number of processes that a kernel can have, proc_sys_kernel(5) pid_max.
MAX_PIDS = 4_194_304
# What protobuf, SQLite and the kernel can all hold.
MAX_BYTES = 2**63 - 1
_MAX_DEVICE = 4096
_MAX_DISKS = 256

# Compiled when they are used: most commands of a client read no sizes.
_SIZE = r"(?ai)([0-9]{1,19}(?:\.[0-9]{1,9})?)([kmgt]?)(?:ib)?"
_BARE_UNIT = r"(?ai)[0-9.]+ib"
_WORDS = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


@frozen
class DiskLimit:
    """How fast a job may read and write one disk: bytes and operations a second, None for no limit.

    `device` is a device node, MAJ:MIN, a path (the device that its file system is on) or `all`.
    Raises InvalidArgument naming the field.
    """

    device: str
    read_bps: int | None = None
    write_bps: int | None = None
    read_iops: int | None = None
    write_iops: int | None = None

    def __post_init__(self) -> None:
        if not self.device or len(self.device) > _MAX_DEVICE or "\0" in self.device:
            raise InvalidArgument(
                f"disk {self.device[:64]!r} is not the name of a device",
                obj="disk",
                hint="give a device such as /dev/sda or 8:0, a path that lies on it, or `all`",
            )
        for name in DISK_RATES:
            _check_integer(name, getattr(self, name), 1, MAX_BYTES, obj="disk")

    @property
    def rates(self) -> dict[str, int]:
        """The limits that there are, by name."""
        return {name: value for name in DISK_RATES if (value := getattr(self, name)) is not None}


DISK_RATES = ("read_bps", "write_bps", "read_iops", "write_iops")


@frozen
class Limits:
    """What a job may use at most, None for no limit; checked when it is made.

    `cpus` is CPU seconds a second. Weights are from 1 to 10,000, 100 being everybody's. `memory`
    and `swap` are bytes, `swap` on top of `memory`: a job with a memory limit and none for swap
    gets no swap. `pids` counts processes and threads. Raises InvalidArgument naming the field.
    """

    cpus: float | None = None
    cpu_weight: int | None = None
    memory: int | None = None
    swap: int | None = None
    pids: int | None = None
    disk_weight: int | None = None
    disk: tuple[DiskLimit, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "disk", tuple(self.disk))
        if len(self.disk) > _MAX_DISKS:
            raise InvalidArgument(f"{len(self.disk)} limits on disks are more than {_MAX_DISKS}", obj="disk")
        if self.cpus is not None and not (math.isfinite(self.cpus) and MIN_CPUS <= self.cpus <= MAX_CPUS):
            raise InvalidArgument(f"cpus is {self.cpus:g}, not from {MIN_CPUS} to {MAX_CPUS:.0f}", obj="cpus")
        _check_integer("cpu_weight", self.cpu_weight, MIN_WEIGHT, MAX_WEIGHT)
        _check_integer("disk_weight", self.disk_weight, MIN_WEIGHT, MAX_WEIGHT)
        _check_size("memory", self.memory, MIN_MEMORY)
        _check_size("swap", self.swap, 0)
        _check_integer("pids", self.pids, 1, MAX_PIDS)

    def over(self, defaults: Limits) -> Limits:
        """Return these limits, with those of `defaults` where these say nothing.

        Disks are told apart when they are looked up: of two limits on one disk the later counts,
        and one that names a disk comes after those for `all`.
        """
        merged = {
            name: own if (own := getattr(self, name)) is not None else getattr(defaults, name) for name in _SINGLE
        }
        disk = sorted(defaults.disk + self.disk, key=lambda limit: limit.device != ALL_DISKS)
        return Limits(**merged, disk=tuple(disk))

    def without(self, name: str) -> Limits:
        """Return these limits without the one of that name."""
        gone: dict[str, Any] = {name: None}
        if name in DISK_RATES:
            rest = (replace(limit, **gone) for limit in self.disk)
            return replace(self, disk=tuple(limit for limit in rest if limit.rates))
        return replace(self, **gone)


_SINGLE = tuple(field.name for field in fields(Limits) if field.name != "disk")


@frozen
class Unenforced:
    """A limit that this machine can't apply: its name, the controller it takes, and the reason."""

    limit: str
    controller: str
    reason: str

    def __str__(self) -> str:
        return f"{self.limit}: {self.controller}: {self.reason}"


def parse_size(text: str, name: str = "size") -> int:
    """Return the bytes of `100`, `1024k`, `2m`, `1.5g`, `512MiB`; units are powers of 1024, in either case.

    Raises InvalidArgument naming `name`.
    """
    match = None if re.fullmatch(_BARE_UNIT, text) else re.fullmatch(_SIZE, text)
    if match is None:
        raise InvalidArgument(f"{name} {text[:64]!r} is not a size such as 100, 1024k, 2m, 1g or 512MiB", obj=name)
    whole, _, part = match[1].partition(".")
    factor = _FACTORS[match[2].lower()]
    return int(whole) * factor + (int(part) * factor // 10 ** len(part) if part else 0)


def size_in_words(size: int) -> str:
    """Return bytes in the largest unit that they are a whole number of, so that nothing is rounded."""
    unit, factor = next(((unit, factor) for unit, factor in _WORDS if size and size % factor == 0), ("bytes", 1))
    return f"{size // factor} {unit}"


def rate_in_words(name: str, rate: int) -> str:
    """Return a rate of a disk, one of DISK_RATES, with its unit."""
    return f"{size_in_words(rate)} a second" if name.endswith("bps") else f"{rate} operations a second"


def check_least_rates(limits: Limits) -> None:
    """Refuse a rate so low that others wait: a page that one reads is locked for all who want it too.

    Raises InvalidArgument naming the rate.
    """
    for disk in limits.disk:
        for name, rate in disk.rates.items():
            least = LEAST_RATES[name]
            if rate < least:
                text = f"{name} is {rate_in_words(name, rate)}, less than {rate_in_words(name, least)}"
                raise InvalidArgument(text, obj="disk", hint="a slower disk would hold up other jobs")


def shares_to_weight(shares: int) -> int:
    """Return the weight of CPU shares, 2 to 262,144: 1024 shares are 100, in proportion, at most 10,000.

    Raises InvalidArgument for a number that is none of shares.
    """
    _check_integer("cpu_shares", shares, MIN_SHARES, MAX_SHARES)
    return min(max(round(shares * DEFAULT_WEIGHT / DEFAULT_SHARES), MIN_WEIGHT), MAX_WEIGHT)


def to_json(limits: Limits) -> dict[str, Any]:
    """Return limits as JSON has them, without what is not limited."""
    found: dict[str, Any] = {name: value for name in _SINGLE if (value := getattr(limits, name)) is not None}
    if limits.disk:
        found["disk"] = [{"device": limit.device, **limit.rates} for limit in limits.disk]
    return found


def from_json(value: dict[str, Any]) -> Limits:
    """Return the limits that `to_json` gave; raises InvalidArgument for what it can't have given."""
    try:
        single: Callable[[str], Any] = value.get
        disk = tuple(DiskLimit(**limit) for limit in value.get("disk", ()))
        return Limits(**{name: single(name) for name in _SINGLE}, disk=disk)
    except (TypeError, AttributeError):
        raise InvalidArgument("not the limits of a job", obj="limits") from None


def _check_integer(name: str, value: int | None, least: int, most: int, *, obj: str = "") -> None:
    if value is None:
        return
    if not isinstance(value, int) or not least <= value <= most:
        raise InvalidArgument(f"{name} is {value}, not a whole number from {least} to {most}", obj=obj or name)


def _check_size(name: str, value: int | None, least: int) -> None:
    if value is None:
        return
    if not isinstance(value, int):
        raise InvalidArgument(f"{name} is {value}, not a whole number of bytes", obj=name)
    if value < least:
        raise InvalidArgument(f"{name} is {size_in_words(value)}, less than {size_in_words(least)}", obj=name)
    if value > MAX_BYTES:
        raise InvalidArgument(f"{name} is {size_in_words(value)}, more than {size_in_words(MAX_BYTES)}", obj=name)


NO_LIMITS = Limits()
