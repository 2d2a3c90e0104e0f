"""Disk limits on a real block device, read and written past the page cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jsched.isolation.cgroup import Cgroup
from jsched.limits import DiskLimit, Limits
from tests.helpers.cgroups import Monitor

MIB = 1024 * 1024
IMAGE = 16 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A loop device of the test's own."""
    if shutil.which("losetup") is None or os.geteuid() != 0:
        pytest.skip("losetup and root")
    image = tmp_path / "image"
    image.write_bytes(os.urandom(MIB) * (IMAGE // MIB))
    made = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"a loop device ({made.stderr.strip()})")
    yield made.stdout.strip()
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@pytest.mark.parametrize(
    ("rate", "limit", "size", "count"),
    [
        ("read_bps", 4 * MIB, 128 * 1024, 128),
        ("write_bps", 4 * MIB, 128 * 1024, 128),
        ("read_iops", 100, 4096, 400),
        ("write_iops", 100, 4096, 400),
    ],
)
def test_rate(
    start: Callable[..., tuple[Cgroup, Monitor]],
    disk: str,
    tmp_path: Path,
    rate: str,
    limit: int,
    size: int,
    count: int,
) -> None:
    """Four seconds' worth of transfer take four seconds, within a tenth, and are counted."""
    reading = rate.startswith("read")
    transfer = (
        [f"if={disk}", "of=/dev/null", "iflag=direct"] if reading else ["if=/dev/zero", f"of={disk}", "oflag=direct"]
    )
    command = f"exec dd {' '.join(transfer)} bs={size} count={count} conv=notrunc 2>{tmp_path}/told"
    moved = count * (size if rate.endswith("bps") else 1)
    # On a machine that is busy with other things it may be slower for once, and in a guest, whose clock such a
    # machine holds up, faster. A limit that does not hold is missed each time.
    for _ in range(5):
        cgroup, monitor = start(Limits(disk=(DiskLimit(disk, **{rate: limit}),)), "sh", "-c", command)
        assert monitor.wait() == 0
        told = (tmp_path / "told").read_text()
        seconds = re.search(r"copied, ([0-9.]+) s", told)
        assert seconds is not None, told
        measured = moved / float(seconds[1])
        if measured == pytest.approx(limit, rel=0.1):
            break
    assert measured == pytest.approx(limit, rel=0.1)
    usage = cgroup.usage()
    done = (usage.read_bytes, usage.read_operations) if reading else (usage.written_bytes, usage.written_operations)
    assert done[0] is not None
    assert done[1] is not None
    assert done[0] >= count * size
    assert done[1] >= count
