"""The README's first two commands, in a clean clone with a space in its path."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.helpers.wait import wait_until

SOURCE = Path(__file__).parents[2]
# A user that owns nothing, has no password entry of its own on most hosts, and is not root.
NOBODY = 65534

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (SOURCE / ".git").exists(), reason="not a git clone"),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not there"),
]


class Clone:
    """A clean clone that one user works in."""

    def __init__(self, root: Path, user: int | None) -> None:
        self.home = root
        self.path = root / "a clone"
        self._as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        subprocess.run(["git", "clone", "--quiet", SOURCE, self.path], check=True, timeout=60)
        if user:
            subprocess.run(["chown", "--recursive", f"{user}:{user}", root], check=True, timeout=60)

    def run(self, command: Sequence[str], timeout: float = 400) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone as its user, with nothing in the environment that leads elsewhere."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JSCHED_", "MAKE", "MFLAGS", "GIT_", "PYTEST", "VIRTUAL_ENV"))
        }
        return subprocess.run(
            [*self._as_user, *command],
            cwd=self.path,
            env=kept | {"HOME": str(self.home)} if self._as_user else kept,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def _users() -> list[object]:
    if os.geteuid() != 0:
        return [pytest.param(None, id="ordinary user")]
    without = pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not there")
    return [pytest.param(None, id="root"), pytest.param(NOBODY, id="another user", marks=without)]


@pytest.fixture(params=_users())
def clone(request: pytest.FixtureRequest) -> Iterator[Clone]:
    """A clean clone where its user can get at it, which is ended and removed afterwards."""
    root = Path(mkdtemp(prefix="jsched-make-"))
    try:
        clone = Clone(root, request.param)
        yield clone
        cleaned = clone.run(["make", "clean"])
        assert cleaned.returncode == 0, cleaned.stderr
        assert clone.run(["git", "status", "--short", "--ignored"]).stdout == ""
    finally:
        shutil.rmtree(root)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_make_run_and_what_it_says_next(clone: Clone) -> None:
    """`make run` shows a job's whole output, and a job started as it says next outlives `kill -9` of the server."""
    listen = f"LISTEN=127.0.0.1:{_free_port()}"
    first = clone.run(["make", "run", listen])
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Working........................................ done." in first.stdout
    assert "WARNING" not in first.stdout + first.stderr
    log = re.search(r"logs/[0-9a-f-]{36}\.log", first.stdout)
    assert log is not None
    assert (clone.path / log[0]).read_text() in first.stdout

    lines = first.stdout.partition("in this directory:")[2]
    export = next(line for line in lines.splitlines() if "export PATH" in line)
    assert listen.partition("=")[2] in export
    start = next(line for line in lines.splitlines() if "--name ticker" in line)
    pasted = clone.run(["sh", "-e", "-c", lines.partition("A job that runs")[0] + start])
    assert pasted.returncode == 0, pasted.stderr

    killed = next(line for line in lines.splitlines() if "kill -9" in line)
    pid = (clone.path / ".jsched" / "server.pid").read_text().strip()
    assert clone.run(["sh", "-e", "-c", killed]).returncode == 0
    wait_until(lambda: not _is_alive(pid), what="the end of the killed server")
    second = clone.run(["make", "run", listen])
    assert second.returncode == 0, second.stdout + second.stderr
    assert "started a server" in second.stdout
    assert "1 job ran on while no server was there" in second.stdout
    assert "installing" not in second.stdout

    status = clone.run(["sh", "-e", "-c", f"{export}\njsched-cli status -o json ticker"])
    assert json.loads(status.stdout)["state"].lower() == "running"
    assert clone.run(["sh", "-e", "-c", f"{export}\njsched-cli stop ticker"]).returncode == 0

    stopped = clone.run(["make", "stop"])
    assert stopped.returncode == 0, stopped.stderr
    assert "stopped the server" in stopped.stdout
    assert "on: " not in stopped.stdout
    again = clone.run(["make", "stop"])
    assert (again.returncode, again.stdout) == (0, "no server runs here\n")


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# A Python that only notes that it was asked for a virtual environment, and takes its time to make one.
_SLOW_PYTHON = """#!/bin/sh
if [ "$*" = '-m venv .venv' ]; then
    echo made >>made
    until [ -e go ]; do sleep 0.01; done
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
fi
"""


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not there")
def test_two_at_once(tmp_path: Path) -> None:
    """Of two that set up one clone at the same time the second waits, and makes nothing again."""
    clone = Clone(tmp_path, None)
    (clone.path / "python").write_text(_SLOW_PYTHON)
    (clone.path / "python").chmod(0o755)
    with ThreadPoolExecutor(2) as both:
        runs = [both.submit(clone.run, ["make", "PYTHON=./python", "venv"]) for _ in range(2)]
        try:
            wait_until(lambda: _is_waited_for(clone.path / "Makefile"), what="the second to wait")
        finally:
            (clone.path / "go").touch()
    assert [run.result().returncode for run in runs] == [0, 0], [run.result().stderr for run in runs]
    assert (clone.path / "made").read_text() == "made\n"
    assert sorted(run.result().stdout for run in runs)[0] == ""


def _is_waited_for(file: Path) -> bool:
    inode = f":{file.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="root and setpriv")
@pytest.mark.parametrize("target", ["run", "certs", "venv"])
def test_a_clone_of_somebody_else(target: str) -> None:
    """Who may not write there is told whose it is and what to do, in one line, and nothing is made or removed."""
    root = Path(mkdtemp(prefix="jsched-make-"))
    try:
        root.chmod(0o755)
        clone = Clone(root, None)
        (clone.path / ".venv").mkdir()
        clone._as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        done = clone.run(["make", target])
        assert (done.returncode, done.stdout) == (2, "")
        said, _ = done.stderr.splitlines()
        assert said == (
            f"Error: {clone.path} is root's: work in a clone of your own, or as the user that owns this one"
        )
        assert list((clone.path / ".venv").iterdir()) == []
    finally:
        shutil.rmtree(root)
