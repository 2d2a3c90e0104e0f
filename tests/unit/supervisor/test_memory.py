"""What a monitor keeps of its jobs: nothing, or whoever may start some could fill the host's memory with them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from jsched.errors import StartFailed
from jsched.linux import process
from tests.helpers.walled import make_sandbox, needs_root
from tests.unit.supervisor.conftest import ENV, Bench

# Bytes that each job brings along, as many variables as execve(2) allows to be long.
EACH = 1 << 20
LARGE = ENV | {f"V{number}": "x" * (EACH // 16) for number in range(16)}
JOBS = 24


@pytest.mark.parametrize("walled", [False, pytest.param(True, marks=needs_root)], ids=["plain", "walled"])
@pytest.mark.parametrize("command", ["true", "/nowhere/command"], ids=["that runs", "that is not there"])
def test_nothing_is_kept_of_a_job(bench: Bench, command: str, *, walled: bool) -> None:
    """Many jobs with a large environment leave a monitor no larger than a few do."""

    async def one() -> None:
        sandbox = (lambda slot: make_sandbox()) if walled else None
        with contextlib.suppress(StartFailed):
            await bench.ended(await bench.launch(command, env=LARGE, sandbox=sandbox))

    async def test() -> None:
        for _ in range(4):
            await one()
        launcher = bench.supervisor.launcher_pid
        assert launcher is not None
        before = {pid: resident(pid) for pid in process.children(launcher)}
        for _ in range(JOBS):
            await one()
        grown = [resident(pid) - size for pid, size in before.items()]
        assert set(process.children(launcher)) == set(before)
        assert max(grown) < JOBS * EACH / 3, grown

    bench.run(test())


def resident(pid: int) -> int:
    """Return how many bytes of a process are in memory."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
