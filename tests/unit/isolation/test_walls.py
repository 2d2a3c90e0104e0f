"""What a probe sees behind the default walls of the host mode: built by root, ahead of time, and by a user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jsched.isolation import seccomp
from jsched.isolation.room import TERMINALS
from jsched.isolation.view import masked_entries
from tests.helpers import walled
from tests.helpers.walled import USER, make_sandbox, probe_python

PROBE = (Path(__file__).parent / "probe.py").read_text()
NAMES = [f"/proc/{name}" for name in masked_entries()]
NO_CAPABILITY = "0" * 16


def probe(directory: Path, kind: str) -> dict[str, Any]:
    filter_file = seccomp.store_program(directory, seccomp.compile_profile())
    filter_file.chmod(0o644)
    sandbox = make_sandbox(seccomp=str(filter_file), hostname="job")
    user = None
    if kind == "user":
        user, sandbox = walled.ORDINARY_USER, walled.for_ordinary_user(sandbox)
    elif kind == "no user namespace":
        sandbox = sandbox._replace(uid=300_000 + USER, gid=300_000 + USER, uid_map=(), gid_map=())
    argv = [probe_python(), "-I", "-c", PROBE, *NAMES]
    outcome = walled.run(sandbox, argv, log=directory / "log", user=user, spare=kind == "spare", workdir="/tmp")
    assert outcome.exit_code == 0, outcome.output
    seen: dict[str, Any] = json.loads(outcome.output)
    return seen | {"kind": kind}


@pytest.fixture(scope="module", params=["root", "spare", "no user namespace", "user"])
def seen(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the probe saw behind the walls of one kind."""
    if request.param != "user" and os.geteuid() != 0:
        pytest.skip("needs root")
    with walled.open_directory() as directory:
        yield probe(directory, request.param)


@pytest.fixture(scope="module")
def seen_in_bubblewrap() -> dict[str, Any]:
    """What the probe sees in bubblewrap, with everything unshared and the same directories writable."""
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None or os.geteuid() != 0:
        pytest.skip("no bubblewrap, or not root")
    options = ["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--cap-drop", "ALL"]
    for place in ("/tmp", "/var/tmp", "/run", "/home", "/root", "/sys"):
        options += ["--tmpfs", place]
    command = [bubblewrap, *options, "--new-session", "--uid", str(USER), "--gid", str(USER), "--chdir", "/tmp"]
    done = subprocess.run(
        [*command, probe_python(), "-I", "-c", PROBE, *NAMES],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_nothing_is_wider_than_in_bubblewrap(seen: dict[str, Any], seen_in_bubblewrap: dict[str, Any]) -> None:
    """Whatever the probe sees or may do behind our walls, it sees and may do in bubblewrap."""
    theirs = seen_in_bubblewrap
    assert len(seen["pids"]) <= len(theirs["pids"])
    assert set(seen["interfaces"]) <= set(theirs["interfaces"])
    assert set(seen["descriptors"]) <= set(theirs["descriptors"])
    assert set(seen["devices"]) <= set(theirs["devices"])
    assert set(seen["writable"]) <= set(theirs["writable"])
    assert set(seen["cgroups"]) <= set(theirs["cgroups"])
    assert all(max(seen["proc"][name], 0) <= max(theirs["proc"][name], 0) for name in NAMES)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(seen["status"][name], 16) & ~int(theirs["status"][name], 16) == 0
    for name in ("NoNewPrivs", "Seccomp"):
        assert int(seen["status"][name]) >= int(theirs["status"][name])


def test_processes(seen: dict[str, Any]) -> None:
    """Nobody but init and the probe is in sight, and the probe leads a session of its own."""
    assert seen["pids"] == [1, seen["pid"]]
    assert seen["session"] == seen["pid"]


def test_user(seen: dict[str, Any]) -> None:
    """The probe is the user and group that was asked for, in every sense, and in no other group."""
    expected = {"user": walled.ORDINARY_USER, "no user namespace": 300_000 + USER}.get(seen["kind"], USER)
    assert seen["uid"] == [expected] * 3
    assert seen["gid"] == [expected] * 3
    assert set(seen["groups"]) <= {expected}


def test_privileges(seen: dict[str, Any]) -> None:
    """No capability is in any set, none can be gained, and system calls are filtered."""
    status = seen["status"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert status[name].strip() == NO_CAPABILITY, name
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


def test_signals(seen: dict[str, Any]) -> None:
    """No signal is blocked, and none is ignored but by the probe's own Python."""
    assert int(seen["status"]["SigBlk"], 16) == 0
    # SIGPIPE and SIGXFSZ are ignored by Python itself.
    by_python = 1 << 12 | 1 << 24
    assert int(seen["status"]["SigIgn"], 16) & ~by_python == 0


def test_descriptors(seen: dict[str, Any], tmp_path: Path) -> None:
    """The three standard streams are there and nothing else: the null device, and the log twice."""
    assert sorted(seen["descriptors"]) == ["0", "1", "2"]
    assert seen["descriptors"]["0"] == "/dev/null"
    assert seen["descriptors"]["1"] == seen["descriptors"]["2"]


def test_mounts(seen: dict[str, Any]) -> None:
    """Every mount is read-only or made for the job, and none but the devices honours devices or setuid bits."""
    for place, options, kind in seen["mounts"]:
        flags = options.split(",")
        if kind == "devtmpfs" and "nodev" not in flags:
            assert place.startswith(("/dev/", "/proc/")), place
            continue
        assert "nosuid" in flags, (place, options)
        assert "nodev" in flags or place in ("/dev", "/dev/pts"), (place, options)
        assert "ro" in flags or kind in ("tmpfs", "devpts"), (place, options)


def test_writable(seen: dict[str, Any]) -> None:
    """Files can be made where they are private to the job, and nowhere else."""
    by_owner = ["/run"] if seen["kind"] == "user" else []
    assert seen["writable"] == ["/dev/shm", *by_owner, "/tmp", "/var/tmp"]


def test_devices(seen: dict[str, Any]) -> None:
    """The harmless devices can be opened, and no other."""
    assert seen["devices"] == [f"/dev/{name}" for name in ("full", "null", "pts/ptmx", "random", "urandom", "zero")]


def test_proc(seen: dict[str, Any]) -> None:
    """What tells too much of the host is empty."""
    assert set(seen["proc"].values()) <= {0, -1}


def test_hidden(seen: dict[str, Any]) -> None:
    """Homes, sysfs and the sockets in /run are not in sight."""
    assert all(names == [] for names in seen["hidden"].values())


def test_network(seen: dict[str, Any]) -> None:
    """There is a loopback interface and no other."""
    assert seen["interfaces"] == ["lo"]


def test_names(seen: dict[str, Any]) -> None:
    """The job has the host name that was asked for."""
    assert seen["hostname"] == "job"


def test_cgroups(seen: dict[str, Any]) -> None:
    """The job's cgroup looks like the root of all cgroups."""
    assert set(seen["cgroups"]) <= {"/"}


def test_surroundings(seen: dict[str, Any]) -> None:
    """The working directory and the umask are as asked for, limits as low, and memory is taken from jobs first."""
    assert seen["cwd"] == "/tmp"
    assert seen["umask"] == 0o022
    assert seen["limits"] == [[1, 1], [1024, 1024]]
    assert seen["oom"] == "500"


def test_terminals() -> None:
    """A job has no more pseudo terminals than leave the host and other jobs theirs."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    opening = "import os\ncount = 0\nwhile True:\n    os.open('/dev/ptmx', os.O_RDWR)\n    count += 1\n    print(count)"
    with walled.open_directory() as directory:
        outcome = walled.run(
            make_sandbox(), [probe_python(), "-I", "-c", opening], log=directory / "log", workdir="/tmp"
        )
    assert "No space left on device" in outcome.output
    assert f"{TERMINALS}\n" in outcome.output
    assert f"{TERMINALS + 1}\n" not in outcome.output
