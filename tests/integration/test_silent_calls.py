"""`kill -9` of the server under calls that it has not answered yet: they reconnect and go on."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from jsched.errors import ResourceExhausted
from tests.helpers.server import BIN, WITHOUT_WALLS, Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

# Silent until a file is there.
SILENT = 'while [ ! -e "$0" ]; do sleep 0.02; done; echo out; exit 42'
ONE_CALL = WITHOUT_WALLS + "[wire]\nmax_streams_per_user = 1\n"
SYNC = """
import sys
from jsched.client import Client, load
with Client(load()) as client:
    sys.exit(client.wait(sys.argv[1]).outcome.code)
"""
AIO = """
import asyncio, sys
from jsched.client import AsyncClient, load
async def main():
    async with AsyncClient(load()) as client:
        return (await client.wait(sys.argv[1])).outcome.code
sys.exit(asyncio.run(main()))
"""
AIO_FOLLOW = """
import asyncio, sys
from jsched.client import AsyncClient, load
async def main():
    async with AsyncClient(load()) as client, await client.follow(sys.argv[1]) as output:
        async for chunk in output:
            sys.stdout.write(chunk.data.decode())
        return output.ended.outcome.code
sys.exit(asyncio.run(main()))
"""
CALLS: dict[str, tuple[list[str | Path], int, str]] = {
    "wait": ([BIN / "jsched-cli", "wait"], 42, ""),
    "stream": ([BIN / "jsched-cli", "stream"], 0, "out\n"),
    "sync wait": ([sys.executable, "-c", SYNC], 42, ""),
    "aio wait": ([sys.executable, "-c", AIO], 42, ""),
    "aio follow": ([sys.executable, "-c", AIO_FOLLOW], 42, "out\n"),
}


def under_way(server: Server, argv: list[str | Path], job_id: str) -> subprocess.Popen[str]:
    """Start a process whose one call waits for this job, and return once the server has the call."""
    client = server.client()

    def ended_or_counted(process: subprocess.Popen[str]) -> bool:
        try:
            list(client.follow(job_id, follow=False))
        except ResourceExhausted:
            return True
        return process.poll() is not None

    while True:
        process = subprocess.Popen(
            [*argv, job_id],
            env=server.cli_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(partial(ended_or_counted, process), what="the call")
        if process.poll() is None:
            return process
        # The look at the limit was in its way.
        _, err = process.communicate()
        assert "max_streams_per_user" in err, err


@pytest.mark.parametrize("name", CALLS)
def test_a_first_call_without_an_answer_survives_a_kill(tmp_path: Path, certs: Path, name: str) -> None:
    """A client whose first call has been cut off before any answer reconnects, and learns how the job ended."""
    argv, code, out = CALLS[name]
    done = tmp_path / "done"
    with Server(tmp_path / "server", certs, config=ONE_CALL) as server:
        job_id = server.cli("start", "-q", "sh", "-c", SILENT, str(done), text=True).stdout.strip()
        process = under_way(server, argv, job_id)
        try:
            server.kill()
            if name in ("wait", "stream"):
                assert process.stderr is not None
                assert process.stderr.readline() == "jsched-cli: connection lost, reconnecting …\n"
            server.restart()
            done.touch()
            got, err = process.communicate(timeout=60)
            assert (process.returncode, got) == (code, out), err
        finally:
            process.kill()
            process.communicate()
