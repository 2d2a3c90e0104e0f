"""A client with no code of jsched's can use the API by what the server tells about itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import reflecting_client
from tests.helpers.calls import DEADLINE, config
from tests.helpers.server import Server

pytestmark = pytest.mark.timeout(100)

NODE_CLIENT = Path(reflecting_client.__file__).with_suffix(".js")
NODE_PACKAGES = ("@grpc/grpc-js@1.14", "grpc-js-reflection-client@1.4")


@pytest.fixture
def node_modules(tmp_path: Path) -> Path:
    """A directory with the packages that the client for node needs, fetched from the npm registry."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("a client in node, because node and npm are not there")
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=20000")
    try:
        installed = subprocess.run(
            ["npm", "install", *options, "--prefix", tmp_path, *NODE_PACKAGES],
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        installed = 1
    if installed != 0:
        pytest.skip("a client in node, because its packages can't be fetched from the npm registry")
    return tmp_path / "node_modules"


def check_client(server: Server, *command: str, **env: str) -> None:
    """Have a client run a command and check what it has learnt: each byte, the state and the exit code."""
    settings = config(server, "user")
    files = (str(settings.ca), str(settings.cert), str(settings.key))
    result = subprocess.run(
        [*command, settings.server, *files, "sh", "-c", "printf 'one\\000\\377'; echo two >&2; exit 42"],
        env={**os.environ, **env},
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert result.stdout == b"one\0\xfftwo\n", result.stderr.decode()
    assert result.stderr.decode() == "jsched.v1.JobService JOB_STATE_COMPLETED\n"
    assert result.returncode == 42


def test_client_in_python(shared_server: Server) -> None:
    """By reflection alone a client starts a job, reads its output to the last byte, and learns its exit code."""
    check_client(shared_server, sys.executable, "-I", reflecting_client.__file__)


def test_client_in_node(shared_server: Server, node_modules: Path) -> None:
    """The same is true for a client in another language."""
    # It puts an address where TLS wants a name, and says so.
    check_client(shared_server, "node", "--no-deprecation", str(NODE_CLIENT), NODE_PATH=str(node_modules))
