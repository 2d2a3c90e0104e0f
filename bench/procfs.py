"""What /proc says of a process: CPU time and memory. Source: proc(5)."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its threads so far, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def pss(pid: int) -> int:
    """Return the memory of a process in bytes, shared pages counted by its share of them."""
    return _rollup(pid)["Pss"]


def private(pid: int) -> int:
    """Return the memory in bytes that this process alone holds."""
    sizes = _rollup(pid)
    return sizes["Private_Clean"] + sizes["Private_Dirty"]


def _rollup(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines)}
