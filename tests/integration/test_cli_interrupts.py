"""Ctrl-C where there is nothing to stop, or no way to: before the job, without the right, without the server."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

# A module that is interrupted while it is imported, and makes of that what compiled ones do.
INTERRUPTED = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    raise ImportError("PyCapsule_Import could not import a module") from None
"""


@pytest.mark.parametrize("module", ["argparse", "grpc"])
def test_an_interrupted_import_ends_quietly(shared_server: Server, tmp_path: Path, module: str) -> None:
    """Ctrl-C while the command is still being loaded ends it at once, with 130 and without a word."""
    (tmp_path / f"{module}.py").write_text(INTERRUPTED)
    done = shared_server.cli("run", "true", env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_a_closed_pipe_of_someone_who_may_not_stop(server: Server) -> None:
    """Where the role may not stop a job, a closed stdout ends run all the same, which says that the job runs on."""
    with server.popen_cli("run", "sh", "-c", "while :; do echo line; done", who="user", bufsize=0) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        said, code = process.stderr.read().decode(), process.wait(30)
    (job,) = server.client().jobs()
    assert code == 141
    assert said.startswith(f"jsched-cli: job {job.id} runs on: role user may not stop")
    assert "Ctrl-C" not in said
    assert said.count("\n") == 1
    assert job.state.value == "running"


def test_leaving_while_the_server_is_away(server: Server) -> None:
    """Who leaves run while the server is away is told that the job may run on, and how to see its output."""
    with server.popen_cli("run", "sh", "-c", "echo ready; sleep 1000", bufsize=0) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"ready\n"
        (job,) = server.client().jobs()
        server.kill()
        assert b"connection lost" in process.stderr.readline()
        for words in (b"stopping", b"killing"):
            process.send_signal(signal.SIGINT)
            assert words in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
        assert process.wait(30) == 130
    assert said == f"jsched-cli: the job may run on; its output: jsched-cli stream {job.id}\n"
    server.restart()
    wait_until(lambda: server.client().get(job.id).state.value == "running", what="the job that was left")
