"""A supervisor with directories of its own, and what tests ask of it."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jsched.isolation.cgroup_plan import CgroupPlan
from jsched.isolation.sandbox import Sandbox
from jsched.linux import process
from jsched.supervisor import record
from jsched.supervisor.client import Supervisor
from jsched.supervisor.orphans import kill_orphans
from jsched.supervisor.record import ExitRecord, RunRecord
from jsched.supervisor.wire import LaunchRequest
from tests.helpers.wait import wait_until

ENV = {"PATH": "/usr/bin:/bin"}


def launch_request(root: Path, *argv: str, **fields: Any) -> LaunchRequest:
    """Return the request for a job of no server's, whose files are below `root`; makes the directories."""
    for name in ("runs", "exits", "stops"):
        (root / name).mkdir()
    job_id = str(uuid.uuid4())
    return LaunchRequest(
        job_id,
        argv,
        {**ENV, "JSCHED_JOB_ID": job_id},
        "/",
        str(root / "log"),
        log_gid=None,
        runs_dir=str(root / "runs"),
        exits_dir=str(root / "exits"),
        stops_dir=str(root / "stops"),
        timeout=None,
        grace=1.0,
        start_timeout=30.0,
        **fields,
    )


class Bench:
    """Directories, a supervisor on them, and short forms for tests."""

    def __init__(self, root: Path) -> None:
        self.runs, self.exits, self.stops, self.logs = (root / name for name in ("runs", "exits", "stops", "logs"))
        for directory in (self.runs, self.exits, self.stops, self.logs):
            directory.mkdir()
        self.log_gid: int | None = None
        self.supervisor: Supervisor

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test with an open supervisor."""

        async def whole() -> None:
            async with self.opened():
                await test

        asyncio.run(whole())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Supervisor]:
        """Open the supervisor, and close it afterwards."""
        self.supervisor = Supervisor(
            runs_dir=self.runs, exits_dir=self.exits, stops_dir=self.stops, log_gid=self.log_gid
        )
        await self.supervisor.open()
        try:
            yield self.supervisor
        finally:
            await self.supervisor.close()

    async def launch(
        self,
        *argv: str,
        job_id: str = "",
        env: dict[str, str] | None = None,
        workdir: str = "/",
        timeout: float | None = None,  # noqa: ASYNC109 the job's
        grace: float = 10.0,
        cgroup: CgroupPlan | None = None,
        sandbox: Callable[[int], Sandbox] | None = None,
    ) -> RunRecord:
        """Start a job; without an id it gets a new one."""
        job_id = job_id or str(uuid.uuid4())
        env = {**(ENV if env is None else env), "JSCHED_JOB_ID": job_id}
        log = str(self.log(job_id))
        return await self.supervisor.launch(job_id, argv, env, workdir, log, timeout, grace, cgroup, sandbox)

    async def ended(self, run: RunRecord) -> ExitRecord:
        """Return the exit record once it is there; the monitor may have another job then."""
        found = await asyncio.to_thread(
            wait_until, lambda: record.read_exit(self.exits, run.job_id), 20.0, "the exit record"
        )
        self.supervisor.release(run.job_id)
        return found

    async def noted(self, run: RunRecord) -> None:
        """Wait until the run record says who the command is."""
        await asyncio.to_thread(
            wait_until, lambda: record.read_run(self.runs, run.job_id) == run, 20.0, "the command in the run record"
        )

    async def output(self, *argv: str, **options: Any) -> str:
        """Run a command to its end and return its log."""
        run = await self.launch(*argv, **options)
        await self.ended(run)
        return self.log(run.job_id).read_text()

    async def said(self, run: RunRecord, text: str) -> None:
        """Wait until the job's log contains `text`."""
        await asyncio.to_thread(wait_until, lambda: text in self.log(run.job_id).read_text(), 20.0, f"{text!r}")

    async def stop(self, run: RunRecord, grace: float) -> None:
        """Ask for the job's end, as the engine does."""
        pidfd = process.open_process(run.monitor_pid, run.monitor_start)
        assert pidfd is not None
        self.supervisor.note_stop(run.job_id, grace)
        self.supervisor.signal_stop(pidfd)

    def log(self, job_id: str) -> Path:
        """Return the path of a job's log."""
        return self.logs / f"{job_id}.log"

    def left(self, run: RunRecord) -> list[tuple[int, int]]:
        """Return the processes that carry the job's id."""
        return process.processes_with_environment(f"JSCHED_JOB_ID={run.job_id}".encode())


def alive(pid: int, start: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text()
        return process.start_time(pid) == start and content.rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for path in bench.runs.glob("[!.]*"):
        run = record.read_run(bench.runs, path.name)
        pidfd = run and process.open_process(run.monitor_pid, run.monitor_start)
        if run and pidfd is not None:
            # Only a test that has failed leaves a job behind.
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            kill_orphans(run.job_id, run)
            os.close(pidfd)
