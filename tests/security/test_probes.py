"""The probe and the escapes themselves, in bubblewrap: they run there, and say what is so."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jsched.linux.file_attributes import clear_append_only, is_unsupported, set_append_only
from tests.helpers import escapes, inline
from tests.helpers.escapes.attempt import NOTHING, SUCCEEDED, Host
from tests.helpers.wider import Report, wider_than
from tests.vm.guest import MARK

_BUBBLEWRAP = ("bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")
# In the guest: what its kernel or its file system has not got, and what takes a sandbox to get out of.
_NOT_FOR_ROOT = (
    "kernel: AF_",
    "kernel: mtrr",
    "kernel: irq",
    "kernel: perf",
    "kernel: kexec",
    "network: sending",
    "cgroup: release_agent",
    "cgroup: raising",
    "root: an inherited",
    "root: .. of",
    "log: zeroing",
    "log: collapsing",
)
_PROBE = inline.command(["tests.helpers.probe"])


def _works(command: Sequence[str]) -> bool:
    return (
        shutil.which(command[0]) is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


needs_bubblewrap = pytest.mark.skipif(not _works([*_BUBBLEWRAP, "true"]), reason="bwrap is not there, or does not work")


@pytest.fixture(scope="module")
def here() -> Report:
    """What a process outside of all sandboxes sees."""
    return _probe()


@pytest.fixture(scope="module")
def sandboxed() -> Report:
    """What a process in bubblewrap sees."""
    return _probe(*_BUBBLEWRAP)


def _probe(*sandbox: str) -> Report:
    # Where none of our files is in sight.
    done = subprocess.run([*sandbox, *_PROBE], cwd="/", capture_output=True, text=True, check=True, timeout=300)
    report: Report = json.loads(done.stdout)
    return report


class Log:
    """A file as a job's log is: open for appending, with something in it already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text('{"attempt": "none", "outcome": "before"}\n')
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND)

    def escape(self, *sandbox: str, host: Host = NOTHING) -> dict[str, str]:
        """Make all attempts with this log and return their outcomes; what was said before is still there."""
        command = [*sandbox, *escapes.command(host)]
        done = subprocess.run(
            command, cwd="/", stdout=self.fd, stderr=subprocess.PIPE, text=True, check=False, timeout=300
        )
        assert (done.returncode, done.stderr) == (0, "")
        outcomes = escapes.outcomes(self.path.read_text())
        assert outcomes.pop("none") == "before"
        assert not {name: outcome for name, outcome in outcomes.items() if outcome.startswith("broken")}
        return outcomes


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log that is removed afterwards, whatever its attributes."""
    log = Log(tmp_path / "log")
    yield log
    with contextlib.suppress(OSError):
        clear_append_only(log.fd)
    os.close(log.fd)


@needs_bubblewrap
def test_the_probe_sees_what_bubblewrap_leaves(sandboxed: Report) -> None:
    """In bubblewrap: two processes, loopback, a read-only /, its own /dev and /tmp, and no new privileges."""
    assert sorted(sandboxed["processes"]) == ["1", "2"]
    assert sandboxed["interfaces"] == ["lo"]
    assert sandboxed["no_new_privs"] == 1
    assert {"/tmp", "/dev"} <= set(sandboxed["writable"])
    assert not {"/", "/etc", "/usr", "/etc/passwd"} & set(sandboxed["writable"])
    assert sandboxed["devices"]["/dev/null"] == "rw"
    assert not {"/dev/kmsg", "/dev/mem"} & set(sandboxed["devices"])
    assert [mount["options"][0] for mount in sandboxed["mounts"] if mount["point"] == "/"] == ["ro"]
    assert {"0", "1", "2"} <= set(sandboxed["descriptors"])
    for kind in ("mnt", "pid", "net", "ipc", "uts", "user"):
        assert sandboxed["namespaces"][kind] != os.readlink(f"/proc/self/ns/{kind}")


def test_the_probe_sees_what_it_is_given() -> None:
    """An inherited descriptor, a variable, a lowered limit and an ignored signal are in the report."""
    reader, writer = os.pipe()
    try:
        script = 'ulimit -n 77; trap "" USR1; exec "$@"'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *_PROBE],
            pass_fds=[reader],
            env=os.environ | {"MARK": "here"},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    finally:
        os.close(reader)
        os.close(writer)
    report = json.loads(done.stdout)
    assert report["descriptors"][str(reader)].startswith("pipe:")
    assert report["environment"]["MARK"] == "here"
    assert report["limits"]["RLIMIT_NOFILE"][1] == 77
    # glibc's own two are left ignored in what make starts.
    assert set(report["signals"]["ignored"]) - {32, 33} == {10}


@needs_bubblewrap
def test_no_sandbox_is_wider_than_bubblewrap_and_not_the_other_way_round(here: Report, sandboxed: Report) -> None:
    """Each kind of freedom that bubblewrap takes away is named, and the same report twice is equal."""
    wider = wider_than(here, sandboxed)
    for start in ("namespace pid", "namespace net", "processes", "no_new_privs", "writable: /", "mount / "):
        assert [line for line in wider if line.startswith(start)], start
    assert wider_than(here, here) == []
    assert wider_than(sandboxed, sandboxed) == []
    assert wider_than(sandboxed, here) == []


def test_each_thing_that_is_wider_is_named(here: Report) -> None:
    """One interface, capability, descriptor, device, path, limit or mount option more is one line more."""
    tight = json.loads(json.dumps(here))
    tight["mounts"] = [{"point": "/", "type": "tmpfs", "options": ["ro", "nosuid", "nodev"], "directory": True}]
    tight |= {
        "interfaces": ["lo"],
        "descriptors": {},
        "devices": {"/dev/null": "r"},
        "writable": ["/tmp"],
        "seccomp": 2,
    }
    tight |= {"capabilities": {name: [] for name in here["capabilities"]}, "uid_map": "0 100000 65536\n"}
    tight["limits"] = {"RLIMIT_CORE": [0, 0]}
    loose = json.loads(json.dumps(tight))
    loose["mounts"] += [{"point": "/a", "type": "ext4", "options": ["rw", "nosuid"], "directory": True}]
    loose |= {"interfaces": ["lo", "eth0"], "descriptors": {"1": "log", "7": "/etc"}, "seccomp": 0}
    loose |= {"devices": {"/dev/null": "rw"}, "writable": ["/tmp/x", "/a"], "uid_map": "0 0 1\n"}
    loose["capabilities"]["CapBnd"] = [21]
    loose["limits"] = {"RLIMIT_CORE": [0, -1]}
    assert wider_than(loose, tight) == [
        "mount /a (ext4) allows writing",
        "mount /a (ext4) allows device nodes",
        "interface eth0",
        "capabilities CapBnd: [21]",
        "seccomp: not set",
        "uid_map: maps the host's root",
        "descriptor 7: /etc",
        "device /dev/null: w",
        "writable: /a",
        "limit RLIMIT_CORE: -1 in place of 0",
    ]


@needs_bubblewrap
def test_the_escapes_that_bubblewrap_stops(log: Log, tmp_path: Path) -> None:
    """Processes, files, network and devices of the host are out of reach in bubblewrap, and the report says by what."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as service:
        host = Host(os.getpid(), str(secret), service.getsockname())
        outcomes = log.escape(*_BUBBLEWRAP, host=host)
    refused = {
        "process: seeing one of the host": "ENOENT",
        "process: signalling one of the host": "ESRCH",
        "file: reading one of the host": "ENOENT",
        "file: making one in /etc": "EROFS",
        "device: opening a node that it made": "EPERM",
        "root: .. of an open directory": "EPERM",
        "network: a service of the host": "ECONNREFUSED",
        "network: sending to another machine": "ENETUNREACH",
        # What only the attribute stops.
        "log: opening it to write anywhere": SUCCEEDED,
        "log: punching a hole": SUCCEEDED,
    }
    found = {name: outcomes[name] for name in refused}
    if os.geteuid() != 0:
        refused["file: making one in /etc"] = found["file: making one in /etc"]
    assert found == refused
    assert secret.read_text() == "secret"


@needs_bubblewrap
def test_an_append_only_log_is_out_of_reach(log: Log) -> None:
    """With the append-only attribute no attempt on the log succeeds."""
    try:
        set_append_only(log.fd)
    except OSError as error:
        pytest.skip("no append-only attribute here" if is_unsupported(error) else "no CAP_LINUX_IMMUTABLE here")
    with_attribute = log.escape(*_BUBBLEWRAP)
    assert not [name for name, outcome in with_attribute.items() if name.startswith("log:") and outcome == SUCCEEDED]


@pytest.mark.skipif(MARK not in os.environ, reason="the guest's alone: no sandbox at all")
def test_nearly_everything_succeeds_without_a_sandbox(log: Log, tmp_path: Path) -> None:
    """Root in the guest gets through with nearly all attempts, so that a refusal elsewhere means something."""
    with socket.socket(socket.AF_UNIX) as service:
        service.bind("\0jsched-probe")
        service.listen()
        outcomes = log.escape(host=Host(os.getpid(), str(log.path), socket="@jsched-probe"))
    refused = {name for name, outcome in outcomes.items() if outcome != SUCCEEDED}
    assert {name for name in refused if not name.startswith(_NOT_FOR_ROOT)} == set()
    assert len(outcomes) > 90


def test_the_program_fits_into_an_argument() -> None:
    """All attempts together are well below the 128 KiB of one argument, with any interpreter's own path."""
    command = escapes.command(Host(pid=1), python=sys.executable)
    assert len(command[2]) < 64 * 1024
    assert command[0] == sys.executable
    assert json.loads(command[-1])[0] == 1
