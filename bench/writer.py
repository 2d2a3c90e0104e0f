"""The job that is followed: it waits for a file to appear, then prints lines that say when they were written."""

from __future__ import annotations

import shutil
from pathlib import Path

LINE = 64

# CLOCK_MONOTONIC is one clock for all processes of the host, so a reader can subtract.
_SCRIPT = f"""
import os, sys, time
go, rate, lines = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
os.write(1, b"%0{LINE - 1}d\\n" % 0)
while not os.path.exists(go):
    time.sleep(0.01)
began = time.monotonic_ns()
for number in range(lines):
    pause = began + number * 1e9 / rate - time.monotonic_ns()
    if pause > 0:
        time.sleep(pause / 1e9)
    os.write(1, b"%0{LINE - 1}d\\n" % time.monotonic_ns())
"""


def command(go: Path, *, rate: float, seconds: float) -> list[str]:
    """Return the command: a first line at once, then `rate` lines a second, each in one write(2)."""
    python = shutil.which("python3") or "python3"
    return [python, "-I", "-S", "-c", _SCRIPT, str(go), str(rate), str(int(rate * seconds))]


def written_at(content: bytes) -> list[int]:
    """Return when each line but the first was written, in nanoseconds of the monotonic clock."""
    assert len(content) % LINE == 0, f"{len(content)} bytes are no whole lines"
    return [int(content[start : start + LINE]) for start in range(LINE, len(content), LINE)]
