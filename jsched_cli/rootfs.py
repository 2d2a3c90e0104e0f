"""Root file systems as they are printed: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from jsched.rootfs import Rootfs
from jsched_cli.output import rfc3339, short_duration, visible

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def as_json(rootfs: Rootfs) -> dict[str, Any]:
    """Return a root file system as JSON has it: sizes in bytes, times in RFC 3339."""
    return {
        "name": rootfs.name,
        "digest": rootfs.digest,
        "size": rootfs.size,
        "entries": rootfs.entries,
        "uploaded_by": rootfs.uploaded_by,
        "uploaded_at": rfc3339(rootfs.uploaded_at),
        "used_by": list(rootfs.used_by),
    }


def table(found: Sequence[Rootfs], now: datetime) -> str:
    """Return a table of root file systems."""
    rows = [("NAME", "DIGEST", "SIZE", "UPLOADED BY", "AGE", "USED BY")]
    for rootfs in found:
        jobs = " ".join(job_id[:8] for job_id in rootfs.used_by) or "-"
        age = short_duration(now - rootfs.uploaded_at)
        rows.append((rootfs.name, rootfs.digest[:12], size(rootfs.size), rootfs.uploaded_by, age, jobs))
    cells = [tuple(visible(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def size(count: int) -> str:
    """Return a number of bytes in its largest unit."""
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == _UNITS[0] else f"{value:.1f} {unit}"
