"""From inside a job, behind the default walls: nothing gets out, and nothing is wider than elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.job import JobSpec
from jsched.supervisor import logfile
from tests.helpers import escapes, inline
from tests.helpers.append_only import is_append_only
from tests.helpers.escapes.attempt import Host
from tests.helpers.jobs import run
from tests.helpers.server import Server
from tests.helpers.walled import open_directory, probe_python
from tests.helpers.wider import Report, wider_than

pytestmark = pytest.mark.timeout(300)

# As a job behind the walls has it: the same places in memory.
_BUBBLEWRAP = [
    *("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
    *("--tmpfs", "/tmp", "--tmpfs", "/var/tmp", "--tmpfs", "/run", "--tmpfs", "/dev/shm"),
]
# Root's logs can only be added to where the file system has an attribute for that.
_ON_THE_LOG = "log: "


@pytest.fixture(scope="module")
def walled(certs: Path) -> Iterator[Server]:
    """A server as it is by default."""
    with open_directory() as directory, Server(directory / "server", certs, config="") as server:
        yield server


def test_nothing_gets_out(walled: Server, tmp_path: Path) -> None:
    """None of the ways out that are known to us leads out, and what the job has said before stands."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as service:
        host = Host(os.getpid(), str(secret), service.getsockname())
        printed = run(walled, escapes.command(host, python=probe_python()))
    outcomes = escapes.outcomes(printed)
    assert len(outcomes) > 80
    assert not {name: outcome for name, outcome in outcomes.items() if outcome.startswith("broken")}
    holes = escapes.holes(printed)
    if not append_only(walled.log_dir):
        holes = [hole for hole in holes if not hole.startswith(_ON_THE_LOG)]
    assert holes == []


def test_nothing_is_wider_than_in_bubblewrap(walled: Server) -> None:
    """What a job sees and may touch is nowhere more than what bubblewrap leaves to its command."""
    works = shutil.which("bwrap") and subprocess.run([*_BUBBLEWRAP, "true"], capture_output=True, check=False)
    if not works or works.returncode:
        pytest.skip("bwrap is not there, or does not work")
    probe = inline.command(["tests.helpers.probe"], python=probe_python())
    ours: Report = json.loads(run(walled, probe))
    done = subprocess.run([*_BUBBLEWRAP, *probe], cwd="/", capture_output=True, text=True, check=True, timeout=300)
    assert wider_than(ours, json.loads(done.stdout)) == []


def test_a_log_is_ordinary_again_after_its_job(walled: Server) -> None:
    """While the job runs its log can only be added to; afterwards an administrator may remove it."""
    client = walled.client()
    job = client.start(JobSpec(["sleep", "1000"]))
    log = Path(job.log_path)
    if append_only(log.parent):
        with pytest.raises(PermissionError):
            log.write_text("something else")
    client.stop(job.id, 0)
    log.write_text("rotated")
    log.unlink()


def append_only(directory: Path) -> bool:
    """Return whether files there can be made append-only by this user."""
    probe = logfile.create(str(directory / "probe"), None)
    try:
        return is_append_only(probe)
    except OSError:
        return False
    finally:
        logfile.finish(probe)
        (directory / "probe").unlink()
