"""What a command of jsched-cli loads: most of the time that a short one takes goes into that."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.helpers.server import BIN, CLI_SECONDS, Server

pytestmark = pytest.mark.timeout(60)

# The server's side, the other client, what only failures need, and what is dear and replaced.
NEEDLESS = {
    "cryptography",
    "difflib",
    "importlib.metadata",
    "ipaddress",
    "json",
    "jsched.certificates",
    "jsched.client.aio",
    "jsched.client.identity",
    "jsched.client.rootfs",
    "jsched.config",
    "jsched.engine",
    "jsched.rootfs",
    "jsched.stats",
    "jsched.v1.rootfs_pb2",
    "jsched_cli.terminal",
    "pathlib",
    "shutil",
    "sqlite3",
    "urllib.parse",
    "uuid",
}


@pytest.mark.parametrize("verb", ["start", "status", "stream", "log", "list", "stop", "wait"])
def test_a_verb_loads_nothing_that_it_does_not_need(shared_server: Server, verb: str) -> None:
    """No verb that makes one call about jobs loads a module that only others use."""
    job_id = shared_server.cli("start", "-q", "true").stdout.decode().strip()
    words = {"start": ["-q", "true"], "list": ["-a"]}.get(verb, [job_id])
    done = subprocess.run(
        [sys.executable, "-X", "importtime", BIN / "jsched-cli", verb, *words],
        env=shared_server.cli_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=CLI_SECONDS,
        check=True,
    )
    loaded = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))
    assert {"grpc", "jsched.client.sync", "jsched_cli.flags"} <= loaded
    assert not loaded & NEEDLESS
