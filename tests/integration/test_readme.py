"""What the README says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from jsched.certificates import ROLE_OID
from tests.helpers.server import Server

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ENGINE_EXAMPLE, CLIENT_EXAMPLE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run_example(code: str, directory: Path, server: Server) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env=server.cli_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_engine_example_runs(tmp_path: Path, shared_server: Server) -> None:
    """The first lines of Python run as they stand and print the job's output and outcome."""
    assert run_example(ENGINE_EXAMPLE, tmp_path, shared_server) == "one\ntwo\ncompleted Exited(code=3)\n"


def test_the_client_example_runs(tmp_path: Path, shared_server: Server) -> None:
    """The second run against a server, with the certificates that make run makes."""
    (tmp_path / "certs").symlink_to(shared_server.certs)
    printed = run_example(CLIENT_EXAMPLE, tmp_path, shared_server)
    assert printed == "0 b'hello\\n'\n6 b'bye\\n'\nExited(code=0)\n"


def test_what_it_names_is_there() -> None:
    """Every local link leads somewhere, and the role extension's OID is the real one."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert ROLE_OID.dotted_string in README
