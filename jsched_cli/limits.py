"""The flags that say what a job may use, and how limits and usage are shown."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from jsched.commandline import Parser, UsageError
from jsched.errors import InvalidArgument
from jsched.job import Job, Usage
from jsched.limits import DISK_RATES, LEAST_RATES, MIN_MEMORY, DiskLimit, Limits, parse_size, shares_to_weight

_MEBIBYTE = 1024 * 1024
_UNITS = (("GiB", 1024**3), ("MiB", _MEBIBYTE), ("KiB", 1024))


def add_limits(parser: Parser) -> None:
    """Add the flags of a job's limits; what is not given is the server's to say."""
    parser.add_argument("--cpus", type=float, metavar="N", help="CPUs that it may use at most, such as 1.5")
    weight = parser.add_mutually_exclusive_group()
    weight.add_argument(
        "--cpu-weight", type=int, metavar="N", help="its share of busy CPUs, 1 to 10000, where others have 100"
    )
    weight.add_argument("--cpu-shares", type=int, metavar="N", help="the same, where others have 1024")
    parser.add_argument(
        "--memory",
        type=_size,
        metavar="SIZE",
        help=f"memory that it may use at most, such as 512m; at least {size(MIN_MEMORY)}",
    )
    parser.add_argument("--swap", type=_size, metavar="SIZE", help="swap on top of --memory (none)")
    parser.add_argument("--pids", type=int, metavar="N", help="processes and threads that it may have at most")
    for direction in ("read", "write"):
        parser.add_argument(
            f"--disk-{direction}-bps",
            action="append",
            metavar="DEV:SIZE",
            help=f"bytes a second that it may {direction}, at least {size(LEAST_RATES[f'{direction}_bps'])}; DEV is a "
            "device, MAJ:MIN, a path on the host, or all, which is every disk that no other is for",
        )
        parser.add_argument(
            f"--disk-{direction}-iops",
            action="append",
            metavar="DEV:N",
            help=f"operations a second that it may {direction}, at least {LEAST_RATES[f'{direction}_iops']}",
        )
    parser.add_argument(
        "--disk-weight", type=int, metavar="N", help="its share of busy disks, 1 to 10000, where others have 100"
    )


def limits(args: argparse.Namespace) -> Limits:
    """Return the limits that the arguments ask for; raises InvalidArgument or UsageError for what can't be."""
    return Limits(
        cpus=args.cpus,
        cpu_weight=args.cpu_weight if args.cpu_shares is None else shares_to_weight(args.cpu_shares),
        memory=args.memory,
        swap=args.swap,
        pids=args.pids,
        disk_weight=args.disk_weight,
        disk=_disk(args),
    )


def limits_json(limits: Limits | None) -> dict[str, Any] | None:
    """Return limits as JSON has them: null is no limit, and a field is never left out."""
    if limits is None:
        return None
    disk = [{"device": one.device, **{rate: getattr(one, rate) for rate in DISK_RATES}} for one in limits.disk]
    names = ("cpus", "cpu_weight", "memory", "swap", "pids", "disk_weight")
    return {**{name: getattr(limits, name) for name in names}, "disk": disk}


def limits_text(limits: Limits) -> str:
    """Return limits in a line, "" for none."""
    parts: list[tuple[object, str]] = [
        (limits.cpus and f"{limits.cpus:g}", "CPUs"),
        (limits.cpu_weight, "CPU weight"),
        (limits.memory and size(limits.memory), "memory"),
        (None if limits.swap is None else size(limits.swap), "swap"),
        (limits.pids, "processes"),
        (limits.disk_weight, "disk weight"),
    ]
    texts = [f"{value} {what}" for value, what in parts if value is not None]
    return ", ".join(texts + [_disk_text(limit) for limit in limits.disk])


def limits_rows(job: Job) -> list[tuple[str, object]]:
    """Return what `status` says of a job's limits, asked and applied side by side."""
    lacking = "; ".join(str(one) for one in job.unenforced)
    return [
        ("asked for", limits_text(job.spec.limits)),
        ("limits", job.applied and (limits_text(job.applied) or "none")),
        ("not applied", lacking),
    ]


def usage_rows(usage: Usage | None) -> list[tuple[str, object]]:
    """Return what `status` says of what a job used."""
    if usage is None:
        return []
    return [
        ("cpu", _cpu_text(usage)),
        ("memory", _memory_text(usage)),
        ("disk", _transfer_text(usage)),
        ("processes", usage.pids_peak and f"{usage.pids_peak} at most"),
        ("oom kills", usage.oom_kills and f"{usage.oom_kills} killed for want of memory"),
    ]


def size(value: int) -> str:
    """Return bytes in the largest unit that keeps a digit before the point."""
    for unit, factor in _UNITS:
        if value >= factor:
            return f"{value / factor:.1f}".removesuffix(".0") + f" {unit}"
    return f"{value} B"


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except InvalidArgument as error:
        raise argparse.ArgumentTypeError(error.message.removeprefix("size ")) from None


def _disk(args: argparse.Namespace) -> tuple[DiskLimit, ...]:
    rates: dict[str, dict[str, int]] = {}
    for rate in DISK_RATES:
        flag = f"--disk-{rate.replace('_', '-')}"
        for text in getattr(args, f"disk_{rate}") or ():
            # From the right: a device may be MAJ:MIN.
            device, colon, value = text.rpartition(":")
            if not colon or not device:
                raise UsageError(f"{flag}: {text!r} is not DEV:{'SIZE' if rate.endswith('bps') else 'N'}")
            own = rates.setdefault(device, {})
            if rate in own:
                raise UsageError(f"{flag}: {device} has two")
            own[rate] = _rate(flag, value, parse_size if rate.endswith("bps") else _count)
    return tuple(DiskLimit(device, **values) for device, values in rates.items())


def _rate(flag: str, text: str, read: Callable[[str], int]) -> int:
    try:
        return read(text)
    except InvalidArgument as error:
        raise UsageError(f"{flag}: {error.message.removeprefix('size ')}") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidArgument(f"{text!r} is not a number")
    return int(text)


def _disk_text(limit: DiskLimit) -> str:
    texts = (
        f"{name.replace('_bps', '').replace('_iops', '')} {_per_second(name, value)}"
        for name, value in limit.rates.items()
    )
    return f"disk {limit.device} {' '.join(texts)}"


def _per_second(name: str, value: int) -> str:
    return f"{size(value)}/s" if name.endswith("bps") else f"{value} operations/s"


def _cpu_text(usage: Usage) -> str | None:
    if usage.cpu_user is None or usage.cpu_system is None:
        return None
    held = f", held back for {usage.throttled:.2f} s" if usage.throttled else ""
    return f"{usage.cpu_user:.2f} s user, {usage.cpu_system:.2f} s system{held}"


def _memory_text(usage: Usage) -> str:
    texts = []
    if usage.memory_current is not None and usage.max_rss is None:
        texts.append(f"{usage.memory_current / _MEBIBYTE:.1f} MiB")
    if usage.memory_peak is not None:
        texts.append(f"{usage.memory_peak / _MEBIBYTE:.1f} MiB at most")
    elif usage.max_rss is not None:
        texts.append(f"{usage.max_rss / _MEBIBYTE:.1f} MiB at most, in its largest process")
    return "; ".join(texts)


def _transfer_text(usage: Usage) -> str | None:
    if usage.read_bytes is None or usage.written_bytes is None or not usage.read_bytes + usage.written_bytes:
        return None
    return f"{size(usage.read_bytes)} read, {size(usage.written_bytes)} written"
