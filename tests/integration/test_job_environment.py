"""What a job is given, and what of the server's it is not."""

from __future__ import annotations

import os
import pwd
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jsched.client import Client
from jsched.job import Job, JobSpec
from jsched.server import priority
from jsched.v1 import jobs_pb2 as pb
from tests.helpers.calls import refused
from tests.helpers.privileges import CAP_SYS_NICE, has_capability
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(60)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = home if Path(home := pwd.getpwuid(os.geteuid()).pw_dir).is_dir() else "/"

OPEN_FILES = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Server]:
    """A server with an environment, a umask, limits and a log group that jobs might inherit."""
    root = tmp_path_factory.mktemp("environment")
    given = {"SECRET": "of the server", "LANG": "de_DE", "HOME": "/nonexistent", "PYTHONPATH": "", "LD_BIND_NOW": "1"}
    server = Server(root / "server", certs, args=(f"--log-group={log_group()}",), env=given)
    umask = os.umask(0o077)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.umask(umask)
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """A client of that server."""
    return server.client()


def log_group() -> int:
    """Return a group that is not the server's usual one, if this user may give one away."""
    return 1 if os.geteuid() == 0 else next((gid for gid in os.getgroups() if gid != os.getegid()), os.getegid())


def output(client: Client, *argv: str, **fields: Any) -> tuple[Job, bytes]:
    """Run a job and return it with its output."""
    job = client.start(JobSpec(argv, **fields))
    data = b"".join(chunk.data for chunk in client.follow(job.id))
    return client.get(job.id), data


def variables(data: bytes) -> dict[str, str]:
    """Return what `env -0` has printed."""
    return dict(entry.split("=", 1) for entry in data.decode().split("\0") if entry)


def status(client: Client, **fields: Any) -> dict[str, str]:
    """Return /proc/self/status of a job that is nothing but cat(1)."""
    _, data = output(client, "cat", "/proc/self/status", **fields)
    return {name: value.strip() for name, value in (line.split(":", 1) for line in data.decode().splitlines())}


def test_environment(client: Client) -> None:
    """A job's environment is PATH, HOME, LANG and JSCHED_JOB_ID, and nothing else."""
    job, data = output(client, "env", "-0")
    assert variables(data) == {"PATH": PATH, "HOME": HOME, "LANG": "C.UTF-8", "JSCHED_JOB_ID": job.id}


def test_environment_that_was_asked_for(client: Client) -> None:
    """Variables of the request are added, and win over PATH, HOME and LANG."""
    asked = {"PATH": "/bin:/usr/bin", "HOME": "/tmp", "A": "", "B": "x=y\nz ü", "lower_1": " "}
    job, data = output(client, "env", "-0", env=asked)
    assert variables(data) == {"LANG": "C.UTF-8", "JSCHED_JOB_ID": job.id, **asked}


def test_command_is_found_in_the_jobs_own_path(client: Client, tmp_path: Path) -> None:
    """A command without a slash is looked up in the job's PATH, not in the server's."""
    command = tmp_path / "some-command-of-its-own"
    command.write_text("#!/bin/sh\necho found\n")
    command.chmod(0o755)
    assert output(client, command.name, env={"PATH": str(tmp_path)})[1] == b"found\n"


def test_arguments(client: Client) -> None:
    """A command gets its arguments exactly: no shell, no splitting, no expansion."""
    arguments = ["", " ", "$HOME", "*", "a b", "'\"\\", "\n", "ü", "-n", "--", "\u2028", "x" * 100_000]
    _, data = output(client, "/usr/bin/printf", "%s\\0", *arguments)
    assert data.decode().split("\0")[:-1] == arguments


def test_standard_streams(client: Client) -> None:
    """Stdin is /dev/null, stdout and stderr are the log, and there is no other descriptor."""
    # ls(1) lists the descriptors of the shell that waits for it, in which nothing else is open.
    script = "ls /proc/$$/fd; readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2; cat"
    job, data = output(client, "sh", "-c", script)
    assert data.decode().split() == ["0", "1", "2", "/dev/null", job.log_path, job.log_path]


def test_output_is_appended(client: Client) -> None:
    """Stdout is write-only and appends, so that a job that seeks or writes twice destroys nothing."""
    _, data = output(client, "cat", "/proc/self/fdinfo/1")
    flags = int(next(line.split()[1] for line in data.decode().splitlines() if line.startswith("flags:")), 8)
    assert flags & os.O_ACCMODE == os.O_WRONLY
    assert flags & os.O_APPEND
    assert not flags & os.O_NONBLOCK


def test_signals(client: Client) -> None:
    """No signal is ignored, blocked or pending: all have their defaults."""
    shown = status(client)
    assert {int(shown[name], 16) for name in ("SigIgn", "SigBlk", "SigCgt", "SigPnd", "ShdPnd")} == {0}


def test_session(client: Client) -> None:
    """A job leads a session and a process group of its own, and has no terminal."""
    shown = status(client)
    assert shown["NSsid"].split()[-1] == shown["NSpgid"].split()[-1] == shown["Pid"]
    _, data = output(client, "sh", "-c", "exec cut -d' ' -f7 /proc/self/stat")
    assert data == b"0\n"


def test_pid(client: Client) -> None:
    """The process id that is told is the command's own, not that of something around it."""
    job, data = output(client, "sh", "-c", "echo $$")
    assert int(data) == job.pid


def test_umask(client: Client) -> None:
    """The umask is 022, whatever the server's is."""
    assert status(client)["Umask"] == "0022"


def test_working_directory(client: Client, tmp_path: Path) -> None:
    """A job runs in the directory that was asked for, else in the home directory of its user."""
    assert output(client, "pwd", "-P")[1].decode().rstrip("\n") == str(Path(HOME).resolve())
    odd = tmp_path / "a b\nü"
    odd.mkdir()
    assert output(client, "pwd", "-P", workdir=str(odd))[1].decode() == f"{odd.resolve()}\n"


def test_working_directory_is_where_relative_commands_are(client: Client, tmp_path: Path) -> None:
    """A command with a relative path is looked for in the working directory."""
    (tmp_path / "here").symlink_to("/bin/echo")
    assert output(client, "./here", "x", workdir=str(tmp_path))[1] == b"x\n"


def test_open_file_limit(client: Client) -> None:
    """A job has the limit on open files that the server was started with, not the one it raised for itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, data = output(client, "sh", "-c", "ulimit -Sn; ulimit -Hn")
    assert data.decode().split() == [str(OPEN_FILES), "unlimited" if hard == resource.RLIM_INFINITY else str(hard)]


def test_scheduling(client: Client) -> None:
    """A job has the priority that the server was started with, not the one it took, and may run where it may."""
    assert status(client)["Cpus_allowed_list"] == own_status()["Cpus_allowed_list"]
    assert int(output(client, "nice")[1]) == os.nice(0)


def test_the_server_comes_first(server: Server) -> None:
    """All threads of a server that may take it have a nice value of -10, others what they were started with."""
    own = os.nice(0)
    wanted = {priority.NICE if own == 0 and has_capability(CAP_SYS_NICE) else own}
    assert {os.getpriority(os.PRIO_PROCESS, int(tid)) for tid in os.listdir(f"/proc/{server.pid}/task")} == wanted
    assert os.getpriority(os.PRIO_PROCESS, server.launcher_pid) == own


def own_status() -> dict[str, str]:
    """Return what /proc/self/status says of the test."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def test_log_file(server: Server, client: Client) -> None:
    """The log is <log dir>/<job id>.log, mode 0640, with the configured group, whatever the server's umask is."""
    job, _ = output(client, "echo", "x")
    path = Path(job.log_path)
    assert path == server.log_dir / f"{job.id}.log"
    facts = path.stat()
    assert (stat.S_IFMT(facts.st_mode), stat.S_IMODE(facts.st_mode)) == (stat.S_IFREG, 0o640)
    assert (facts.st_uid, facts.st_gid) == (os.geteuid(), log_group())
    assert path.read_bytes() == b"x\n"


def test_log_is_there_before_the_command(client: Client) -> None:
    """The command finds its log file ready: empty, with its mode."""
    script = 'exec stat -L -c "%a %s" /proc/self/fd/1'
    assert output(client, "sh", "-c", script)[1] == b"640 0\n"


def test_log_of_a_command_that_never_ran(shared_server: Server, stub: Any) -> None:
    """The log is made before the command is executed: it is there, and empty, if that fails."""
    refusal = refused(stub.StartJob, pb.StartJobRequest(argv=["/nonexistent"]))
    path = shared_server.log_dir / f"{refusal.metadata['job_id']}.log"
    assert path.stat().st_size == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_log_may_be_read_while_the_job_runs(client: Client) -> None:
    """A plain reader of the file sees each line as soon as it is written."""
    job = client.start(JobSpec(["sh", "-c", "echo now; exec sleep 1000"]))
    wait_until(lambda: Path(job.log_path).read_bytes() == b"now\n", what="the line in the log file")
    client.stop(job.id, 0)
