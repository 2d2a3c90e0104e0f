"""Limits that a policy names: what jobs get that ask for nothing, and up to what they may ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jsched.limits import ALL_DISKS, DISK_RATES, DiskLimit, Limits

_SINGLE = ("cpus", "cpu_weight", "memory", "swap", "pids", "disk_weight")


@dataclass(frozen=True, slots=True)
class LimitSet:
    """A table of [profiles]: the limits that it names, as `Limits` has them; None is no limit."""

    name: str
    changes: Mapping[str, Any]

    def over(self, defaults: Limits) -> Limits:
        """Return limits with those of this set in place of the defaults of the same name."""
        return replace(defaults, **self.changes)

    @property
    def bounds(self) -> Limits:
        """The set as a ceiling: what it does not name, or names as 0, has no bound.

        With a bound on memory and none on swap there is no swap, as there is none for a job.
        """
        bounds = Limits(**self.changes)
        if bounds.memory is not None and "swap" not in self.changes:
            return replace(bounds, swap=0)
        return bounds


def excess(asked: Limits, bounds: Limits) -> str | None:
    """Return the name of a limit that was asked for and is above its bound, None if all are within."""
    for name in _SINGLE:
        value, most = getattr(asked, name), getattr(bounds, name)
        if value is not None and most is not None and value > most:
            return name
    for limit in asked.disk:
        for rate, value in limit.rates.items():
            most = _disk_bound(bounds, limit.device, rate)
            if most is not None and value > most:
                return rate
    return None


def capped(limits: Limits, bounds: Limits) -> Limits:
    """Return limits that are within the bounds: a limit that there is none of gets its bound."""
    single = {name: _least(getattr(limits, name), getattr(bounds, name)) for name in _SINGLE}
    rates: dict[str, dict[str, int]] = {limit.device: dict(limit.rates) for limit in bounds.disk}
    for limit in limits.disk:
        own = rates.setdefault(limit.device, {})
        for rate, value in limit.rates.items():
            most = _disk_bound(bounds, limit.device, rate)
            own[rate] = value if most is None else min(value, most)
    # Of two limits on one disk the later counts: those that name it come after those for all.
    devices = sorted(rates, key=lambda device: device != ALL_DISKS)
    return Limits(**single, disk=tuple(DiskLimit(device, **rates[device]) for device in devices))


def names_of(limits: Limits) -> tuple[str, ...]:
    """Return the names of the limits that there are."""
    return tuple(name for name, _ in _given(limits)) + tuple(
        rate for rate in DISK_RATES if any(rate in limit.rates for limit in limits.disk)
    )


def in_words(limits: Limits) -> str:
    """Return limits as people read them, "none" if there are none."""
    words = [f"{name} {value:g}" if name == "cpus" else f"{name} {value}" for name, value in _given(limits)]
    words += [f"{rate} {value} on {disk.device}" for disk in limits.disk for rate, value in disk.rates.items()]
    return ", ".join(words) or "none"


def _given(limits: Limits) -> list[tuple[str, Any]]:
    return [(name, value) for name in _SINGLE if (value := getattr(limits, name)) is not None]


def _disk_bound(bounds: Limits, device: str, rate: str) -> int | None:
    """Return a disk's bound, the lowest of all if none names this one: it may be known by another name."""
    by_device = {limit.device: limit.rates[rate] for limit in bounds.disk if rate in limit.rates}
    return by_device.get(device, min(by_device.values(), default=None))


def _least(one: Any, other: Any) -> Any:
    return min((value for value in (one, other) if value is not None), default=None)
