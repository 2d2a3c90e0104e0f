"""What a crash has left behind, seen from outside the server: rows, files and processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from jsched.job import JobFilter
from jsched.linux import process
from jsched.state import JobState
from jsched.supervisor import record
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

T = TypeVar("T")
DEADLINE = 30.0
_DIRECTORIES = ("runs", "exits", "stops")


def database(server: Server) -> sqlite3.Connection:
    """Open the server's database, beside the server; the caller closes it."""
    db = sqlite3.connect(server.data_dir / "state.db", isolation_level=None, timeout=DEADLINE)
    db.row_factory = sqlite3.Row
    return db


def rows(server: Server) -> dict[str, dict[str, Any]]:
    """Return all rows of the table of jobs by job id."""
    with contextlib.closing(database(server)) as db:
        return {row["id"]: dict(row) for row in db.execute("SELECT * FROM jobs")}


def add_row(server: Server, argv: tuple[str, ...] = ("true",), **columns: Any) -> str:
    """Write a row as a server that crashed might have left it, and return the job's id; none may run."""
    job_id = str(columns.pop("id", "") or uuid.uuid4())
    values = {
        "id": job_id,
        "owner": "admin",
        "argv": json.dumps(argv),
        "env": "{}",
        "labels": "{}",
        "grace": 10.0,
        "state": "running",
        "created_at": time.time_ns() // 1000,
        "log_path": str(server.log_dir / f"{job_id}.log"),
        **columns,
    }
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    with contextlib.closing(database(server)) as db:
        db.execute(f"INSERT INTO jobs ({names}) VALUES ({marks})", tuple(values.values()))
    return job_id


def left_files(server: Server) -> set[str]:
    """Return what is in runs/, exits/ and stops/, but for claims, which stay until the host restarts."""
    return {
        f"{directory}/{path.name}"
        for directory in _DIRECTORIES
        for path in (server.data_dir / directory).iterdir()
        if path.name.startswith(".") or directory != "runs" or record.read_claim(path.parent, path.name) is None
    }


def end_jobs(server: Server) -> None:
    """Stop the jobs that a test, which has failed then, has left running on a server that it shares with others."""
    if server.is_running:
        client = server.client()
        for job in client.list(JobFilter(frozenset({JobState.RUNNING}))).jobs:
            client.stop(job.id, 0)


def assert_nothing_left(server: Server) -> None:
    """Wait until the server has no file about any job in its data directory, and no process but those without a job."""
    wait_until(lambda: not left_files(server), DEADLINE, f"an empty state, not {left_files(server)}")
    own = {server.pid, server.launcher_pid}

    wait_until(
        lambda: {pid for pid, _ in server.processes() if not is_idle(pid)} == own,
        DEADLINE,
        "the end of all other processes",
    )


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """Keep a process stopped (SIGSTOP); it may be killed meanwhile."""
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        wait_until(lambda: thread_states(pid) <= {"T"}, DEADLINE, f"process {pid} stopped")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        os.close(pidfd)


@contextlib.contextmanager
def launches_held(launcher: int) -> Iterator[Callable[[], None]]:
    """Keep a launcher and its monitors without a job stopped; what is yielded lets them go on before the end."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(paused(launcher))
        for monitor in idle_monitors(launcher):
            stack.enter_context(paused(monitor))
        held = stack.pop_all()
    try:
        yield held.close
    finally:
        held.close()


def idle_monitors(launcher: int) -> list[int]:
    """Return a launcher's monitors that have no job, also those that have not come to say so."""
    return [monitor for monitor in process.children(launcher) if all(map(is_idle, process.children(monitor)))]


def is_idle(pid: int) -> bool:
    """Whether a process is a monitor, a forker or an init that has no job."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if Path(f"/proc/{pid}/comm").read_text() in ("jsched-monitor\n", "jsched-forker\n", "jsched-init\n"):
            return all(is_idle(child) for child in process.children(pid))
    return False


def in_background(call: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """Make a call that blocks on a thread of its own; ask the future with a deadline."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def is_gone(pid: int, start: int) -> bool:
    """Whether a process has ended; one that nobody has reaped has."""
    pidfd = process.open_process(pid, start)
    if pidfd is None:
        return True
    try:
        return process.has_ended(pidfd)
    finally:
        os.close(pidfd)


def thread_states(pid: int) -> set[str]:
    """Return the states of a process's threads, proc(5)."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found.add((task / "stat").read_text().rpartition(")")[2].split()[0])
    return found
