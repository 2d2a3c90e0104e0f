"""The server as a process, and that the tests' own server leaves nothing behind unseen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from jsched.linux import process
from jsched.supervisor import record
from tests.helpers.server import BIN, Server
from tests.helpers.wait import wait_until


def test_a_job_outlives_kill_and_restart(server: Server) -> None:
    """A job that ran when its server was killed is there in the next one, and ends with its own exit code."""
    marker = server.root / "go"
    script = f"echo before; while [ ! -e '{marker}' ]; do sleep 0.02; done; echo after; exit 7"
    started = server.cli("start", "-q", "--", "sh", "-c", script, text=True)
    assert started.returncode == 0, started.stderr
    server.kill()
    server.restart()
    marker.touch()
    job = started.stdout.strip()
    assert server.cli("wait", job).returncode == 7
    assert server.cli("stream", job).stdout == b"before\nafter\n"


def test_a_second_server_on_the_same_data_is_refused(server: Server) -> None:
    """While one server runs, another on its data directory ends with an error that names the directory."""
    second = subprocess.run(
        [
            BIN / "jsched",
            "serve",
            "--listen=127.0.0.1:0",
            f"--certs={server.certs}",
            f"--data-dir={server.data_dir}",
            f"--log-dir={server.log_dir}",
        ],
        env={"PATH": os.environ["PATH"], "JSCHED_SERVER_CONFIG": os.devnull},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert second.returncode == 1
    assert second.stderr.startswith("Error: ")
    assert str(server.data_dir) in second.stderr
    assert "Traceback" not in second.stderr


def test_systemd_is_told_when_the_server_is_ready_and_when_it_stops(tmp_path: Path, certs: Path) -> None:
    """READY=1 arrives once the server serves and STOPPING=1 when it has been asked to end, sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20)
        with Server(tmp_path / "server", certs, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            assert notify.recv(100) == b"READY=1"
            assert server.terminate() == 0
            assert notify.recv(100) == b"STOPPING=1"


def test_closing_ends_jobs_that_ignore_sigterm(tmp_path: Path, certs: Path) -> None:
    """Closing the tests' server ends the whole tree of a job that was left running, and is content."""
    server = Server(tmp_path / "server", certs)
    server.start()
    script = "trap '' TERM; setsid sleep 1000 & echo $!; sleep 1000"
    job = server.cli("start", "-q", "--", "sh", "-c", script, text=True).stdout.strip()
    wait_until(lambda: (server.log_dir / f"{job}.log").read_text(), what="the job's output")
    server.close()
    assert process.processes_with_environment(f"JSCHED_JOB_ID={job}".encode()) == []


def test_closing_tells_of_a_process_that_escaped(tmp_path: Path, certs: Path) -> None:
    """A process that no monitor watches any more is killed when the server is closed, and fails the test."""
    server = Server(tmp_path / "server", certs)
    server.start()
    job = server.cli("start", "-q", "--", "sh", "-c", "sleep 1000 & wait", text=True).stdout.strip()
    environment = f"JSCHED_JOB_ID={job}".encode()
    wait_until(lambda: len(process.processes_with_environment(environment)) == 2, what="the job's two processes")
    run = record.read_run(server.data_dir / "runs", job)
    assert run is not None
    # With the server alive it would be the server that finds and kills what the monitor left.
    server.kill()
    os.kill(run.monitor_pid, signal.SIGKILL)
    with pytest.raises(AssertionError, match=r"left behind: process .* sleep 1000"):
        server.close(patience=0.5)
    wait_until(lambda: process.processes_with_environment(environment) == [], what="the end of what escaped")
