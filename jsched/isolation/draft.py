"""A job's plan while it is being thought out: what is written, and what can't be."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import monotonic

from jsched.errors import InvalidArgument
from jsched.isolation.cgroup_plan import CgroupPlan, Write
from jsched.limits import ALL_DISKS, DiskLimit, Limits, Unenforced
from jsched.linux.disks import Disk, find_disk, real_disks

_DISKS_KEPT = 5.0
_FEW_PIDS = 16
_DISK_HINT = "give a device such as /dev/sda or 8:0, a path that lies on one, or `all`"


@dataclass(frozen=True, slots=True)
class Planned:
    """What comes of limits on this machine: a plan, None where there are no cgroups, and what it applies."""

    cgroup: CgroupPlan | None
    applied: Limits
    unenforced: tuple[Unenforced, ...] = ()


class Draft:
    """Limits, less those that were dropped, and the writes that they take so far."""

    def __init__(self, limits: Limits) -> None:
        self.applied = limits
        self.writes: list[Write] = []
        self.entering: list[Write] = []
        self.entered: list[Write] = []
        self.unenforced: list[Unenforced] = []

    def write(self, file: str, value: object) -> None:
        """Add a write."""
        self.writes.append(Write(file, str(value)))

    def drop(self, limit: str, controller: str, reason: str) -> None:
        """Leave a limit out, saying why."""
        self.applied = self.applied.without(limit)
        self.unenforced.append(Unenforced(limit, controller, reason))

    def write_pids(self, file: str, most: int) -> None:
        """Add the limit on processes, with a place more for as long as the monitor is inside."""
        self.write(file, most)
        # More than a few the command can't have made before the monitor has left.
        if most < _FEW_PIDS:
            self.entering.append(Write(file, str(most + 1)))
            self.entered.append(Write(file, str(most)))


class Disks:
    """The disks of this machine; who is plugged in while a server runs is known some seconds later."""

    def __init__(self) -> None:
        self._real: list[Disk] = []
        self._until = 0.0

    def resolve(self, limits: tuple[DiskLimit, ...]) -> tuple[DiskLimit, ...]:
        """Return one limit for each disk, named MAJ:MIN; the later of two limits on one disk counts.

        Raises InvalidArgument for a device that is none.
        """
        rates: dict[Disk, dict[str, int]] = {}
        for limit in limits:
            for disk in self._all() if limit.device == ALL_DISKS else [_find(limit.device)]:
                rates.setdefault(disk, {}).update(limit.rates)
        return tuple(DiskLimit(str(disk), **values) for disk, values in rates.items())

    def _all(self) -> list[Disk]:
        if monotonic() >= self._until:
            self._real = real_disks()
            self._until = monotonic() + _DISKS_KEPT
        return self._real


def check_disks(limits: tuple[DiskLimit, ...]) -> None:
    """Raise InvalidArgument for a disk of the configuration's that is none, or is not where it says. Blocks.

    Whoever wrote it may know which files the host has: a path has to be there, and to be no link to another disk.
    """
    for limit in limits:
        if limit.device == ALL_DISKS:
            continue
        disk = _find(limit.device)
        if not limit.device.startswith("/"):
            continue
        if not os.path.exists(limit.device):
            raise InvalidArgument(f"disk {limit.device} is not there", obj="disk", hint=_DISK_HINT)
        real = os.path.realpath(limit.device)
        if _find(real) != disk:
            raise InvalidArgument(
                f"disk {limit.device} leads to another disk, that of {real}", obj="disk", hint=f"write {real}"
            )


def check_limited_once(limits: tuple[DiskLimit, ...]) -> None:
    """Raise InvalidArgument if, of one request, two limits of one rate come to the same disk. Blocks.

    One of them would count, and nobody could tell which. Those for all disks are for what no other is for.
    """
    names: dict[tuple[Disk | None, str], str] = {}
    for limit in limits:
        disk = None if limit.device == ALL_DISKS else _find(limit.device)
        for rate in limit.rates:
            other = names.get((disk, rate))
            names[disk, rate] = limit.device
            if other is not None:
                where = limit.device if other == limit.device else f"{other} and {limit.device}, which are one disk"
                raise InvalidArgument(
                    f"{rate} is given twice, for {where}", obj="disk", hint="give one limit for each disk"
                )


def _find(device: str) -> Disk:
    try:
        return find_disk(device)
    except OSError:
        # Not why: it is told to people who may not know which files the host has.
        raise InvalidArgument(f"disk {device}: no disk that can be limited", obj="disk", hint=_DISK_HINT) from None
    except ValueError:
        raise InvalidArgument(f"disk {device!r} is no path", obj="disk") from None
