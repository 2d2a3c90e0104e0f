"""A stdout that is closed or full: said in words, and no started job goes unnamed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.helpers.server import BIN, CLI_SECONDS, Server

pytestmark = pytest.mark.timeout(60)


def without_stdout(server: Server, *args: str) -> subprocess.CompletedProcess[str]:
    """Run `jsched-cli` with its stdout closed."""
    return subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", BIN / "jsched-cli", *args],
        env=server.cli_environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=CLI_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("args", [["list"], ["list", "-o", "json"], ["stats"], ["help"]])
def test_a_closed_stdout_is_said(shared_server: Server, args: list[str]) -> None:
    """What has nowhere to go is an error that says so."""
    done = without_stdout(shared_server, *args)
    assert (done.returncode, done.stderr) == (1, "Error: can't write to stdout: it is closed\n")


@pytest.mark.parametrize("flags", [[], ["-o", "json"]])
def test_a_full_stdout_is_said_of_much_output_too(shared_server: Server, flags: list[str]) -> None:
    """More than Python keeps back before it writes has nowhere to go either, and is told the same."""
    job_id = shared_server.cli("start", "-q", "true", "x" * 20_000, text=True).stdout.strip()
    with Path("/dev/full").open("w") as full:
        done = shared_server.cli("status", *flags, job_id, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "Error: can't write to stdout: No space left on device\n")


@pytest.mark.parametrize("flags", [[], ["-q"], ["-o", "json"]])
def test_a_job_whose_id_cant_be_written_is_named(shared_server: Server, flags: list[str]) -> None:
    """A start whose answer can't be written, for a closed or a full stdout, names the job on stderr."""
    closed = without_stdout(shared_server, "start", *flags, "true")
    with Path("/dev/full").open("w") as full:
        filled = shared_server.cli("start", *flags, "true", stdout=full, stderr=subprocess.PIPE, text=True)
    newest = shared_server.cli("list", "-aq", "--limit", "2", text=True).stdout.split()
    for done, why, job_id in zip((filled, closed), ("No space left on device", "it is closed"), newest, strict=True):
        assert done.returncode == 1
        said = f"Error: can't write to stdout: {why}\njob {job_id} has been started all the same\n"
        assert done.stderr == said


def test_a_closed_stdout_is_no_connection(shared_server: Server) -> None:
    """Output for a stdout that is closed goes nowhere: not to what would have got its descriptor."""
    job_id = shared_server.cli("start", "-q", "echo", "x", text=True).stdout.strip()
    done = without_stdout(shared_server, "stream", job_id)
    assert (done.returncode, done.stderr) == (1, "Error: can't write to stdout: it is closed\n")
