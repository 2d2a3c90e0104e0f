"""From inside a job that was forked behind walls that others have, too: nothing gets out, or from one to the next."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.linux import process
from tests.helpers import escapes, inline
from tests.helpers.escapes.attempt import Host
from tests.helpers.jobs import run
from tests.helpers.server import Server
from tests.helpers.wait import wait_until
from tests.helpers.walled import needs_root, open_directory, probe_python
from tests.helpers.wider import Report, wider_than

pytestmark = [needs_root, pytest.mark.timeout(300)]

# All that a namespace or a limit could keep for the next one, if they had it in common.
_LEAVING = """
import ctypes, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
made = []
for directory in ("/tmp", "/var/tmp", "/run", "/dev/shm", "/dev", "/dev/pts", "/sys", "/home", "/"):
    try:
        open(directory + "/left", "w").close()
        made.append(directory)
    except OSError:
        pass
for make in (libc.shmget(0x7A11, 4096, 0o1666), libc.semget(0x7A11, 1, 0o1666), libc.msgget(0x7A11, 0o1666)):
    assert make >= 0
kept = socket.socket(socket.AF_UNIX)
kept.bind("\\0left")
resource.prlimit(1, resource.RLIMIT_NPROC, (77, 77))
resource.prlimit(1, resource.RLIMIT_NOFILE, (77, 77))
os.setpriority(os.PRIO_PROCESS, 1, 19)
os.sched_setaffinity(1, {min(os.sched_getaffinity(0))})
print(*made)
"""
_FINDING = """
import ctypes, os, resource, socket
libc = ctypes.CDLL(None, use_errno=True)
for directory in ("/tmp", "/var/tmp", "/run", "/dev/shm", "/dev", "/dev/pts", "/sys", "/home", "/"):
    if os.path.exists(directory + "/left"):
        print(directory)
for name in ("shmget", "semget", "msgget"):
    if getattr(libc, name)(0x7A11, 0, 0) >= 0:
        print(name)
socket.socket(socket.AF_UNIX).bind("\\0left")
print([resource.prlimit(1, limit)[1] == 77 for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE)])
print(os.getpriority(os.PRIO_PROCESS, 0), len(os.sched_getaffinity(0)))
"""


@pytest.fixture(scope="module")
def walled(certs: Path) -> Iterator[Server]:
    """A server as it is by default."""
    with open_directory() as directory, Server(directory / "server", certs, config="") as server:
        run(server, ["true"])
        yield server


def waiting(server: Server) -> tuple[int, int] | None:
    """Return the pids of the one forker and of the one init that it has ready, once both are there."""
    named: dict[str, list[int]] = {}
    for pid in process.family(server.launcher_pid):
        try:
            named.setdefault(Path(f"/proc/{pid}/comm").read_text().strip(), []).append(pid)
        except (FileNotFoundError, ProcessLookupError):
            return None
    forkers, inits = named.get("jsched-forker", []), named.get("jsched-init", [])
    return (forkers[0], inits[0]) if len(forkers) == len(inits) == 1 else None


def run_behind(server: Server, command: list[str]) -> str:
    """Run a command as a job whose init a forker has forked, and check that it was so."""
    forker, spare = wait_until(lambda: waiting(server), 30.0, "a forker and its init")
    printed = run(server, command)
    after = wait_until(lambda: waiting(server), 30.0, "the forker and its next init")
    assert after[0] == forker
    assert after[1] != spare
    return printed


def test_nothing_gets_out(walled: Server, tmp_path: Path) -> None:
    """None of the ways out that are known to us leads out of a job that a forker has forked."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    forker, _ = wait_until(lambda: waiting(walled), 30.0, "a forker and its init")
    with socket.create_server(("127.0.0.1", 0)) as service:
        host = Host(forker, str(secret), service.getsockname())
        printed = run_behind(walled, escapes.command(host, python=probe_python()))
    outcomes = escapes.outcomes(printed)
    assert len(outcomes) > 80
    assert not {name: outcome for name, outcome in outcomes.items() if outcome.startswith("broken")}
    # The log is the monitor's, and test_walls has that.
    assert [hole for hole in escapes.holes(printed) if not hole.startswith("log: ")] == []


def test_what_one_leaves_the_next_does_not_find(walled: Server) -> None:
    """Files, shared objects, names of sockets, and what it has done to its init, are gone with a job."""
    python = probe_python()
    assert run_behind(walled, [python, "-c", _LEAVING]).split() == ["/tmp", "/var/tmp", "/dev/shm"]
    ordinary = f"{os.getpriority(os.PRIO_PROCESS, 0)} {len(os.sched_getaffinity(0))}"
    assert run_behind(walled, [python, "-c", _FINDING]) == f"[False, False]\n{ordinary}\n"


def test_the_next_one_sees_what_the_first_one_saw(walled: Server) -> None:
    """After one that has tried everything, a job is behind the same walls as before it, none wider or narrower."""
    probe = inline.command(["tests.helpers.probe"], python=probe_python())
    before: Report = json.loads(run_behind(walled, probe))
    run_behind(walled, escapes.command(python=probe_python()))
    after: Report = json.loads(run_behind(walled, probe))
    assert wider_than(after, before) == wider_than(before, after) == []
    assert before["namespaces"]["user"] == after["namespaces"]["user"]
    for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup"):
        assert before["namespaces"][kind] != os.readlink(f"/proc/self/ns/{kind}")
        assert after["namespaces"][kind] != os.readlink(f"/proc/self/ns/{kind}")


def test_nothing_is_mounted_that_could_spread(walled: Server) -> None:
    """No mount of a job shares what is mounted with another job, its forker or the host."""
    mounts = run_behind(walled, ["cat", "/proc/self/mountinfo"]).splitlines()
    assert mounts
    assert [line for line in mounts if "shared:" in line or "master:" in line] == []
