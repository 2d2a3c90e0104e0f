"""start, status, list, stop, delete and wait, as someone at a shell sees them."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import termios
import uuid
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.helpers.server import BIN, Server

pytestmark = pytest.mark.timeout(60)

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def ok(server: Server, *args: str, **kwargs: object) -> str:
    """Run jsched-cli, which has to succeed and to say nothing on stderr, and return what it prints."""
    done = server.cli(*args, **kwargs)  # type: ignore[arg-type]
    assert (done.returncode, done.stderr) == (0, b""), done
    return str(done.stdout.decode())


def start(server: Server, *args: str) -> str:
    """Start a job and return its id."""
    return ok(server, "start", "-q", *args).strip()


def fresh_name() -> str:
    """Return a name that no other test has used."""
    return f"n{uuid.uuid4().hex[:12]}x"


def test_start_says_the_id(shared_server: Server) -> None:
    """start prints one line with the id of the new job, -q the id alone, -o json the whole job."""
    assert re.fullmatch(rf"JobID: {UUID} started\n", ok(shared_server, "start", "true"))
    assert re.fullmatch(rf"{UUID}\n", ok(shared_server, "start", "-q", "true"))
    job = json.loads(ok(shared_server, "start", "-o", "json", "--label", "a=b", "sleep", "0"))
    assert (job["argv"], job["labels"], job["owner"]) == (["sleep", "0"], {"a": "b"}, "admin")


def test_the_command_gets_its_words_untouched(shared_server: Server) -> None:
    """Words after COMMAND are the command's, flags and -- among them, and no shell looks at them."""
    words = ["--", "-q", "--name", "$HOME *", "", "a b", "ü"]
    job_id = start(shared_server, "--", "printf", "[%s]", *words)
    assert shared_server.cli("stream", job_id).stdout.decode() == "".join(f"[{word}]" for word in words)


def test_env_and_workdir_reach_the_job(shared_server: Server) -> None:
    """--env sets a variable, without a value to the caller's own, and --workdir the directory."""
    given = shared_server.cli(
        "run", "-e", "A=1 2", "-e", "MINE", "-w", "/usr", "sh", "-c", 'echo "$A|$MINE|$PWD|$SECRET"',
        env={"MINE": "yes", "SECRET": "no"},
    )  # fmt: skip
    assert (given.returncode, given.stdout) == (0, b"1 2|yes|/usr|\n")


def test_limits_are_asked_for(shared_server: Server) -> None:
    """What is asked for is in the job's status, and the same request with other limits is another one."""
    name = fresh_name()
    flags = ("--request-id", name, "--cpus", "0.5", "--memory", "64m", "--disk-read-bps", "all:10m")
    job_id = start(shared_server, *flags, "true")
    job = json.loads(ok(shared_server, "status", "-o", "json", job_id))
    assert (job["limits"]["cpus"], job["limits"]["memory"], job["limits"]["pids"]) == (0.5, 2**26, None)
    assert [(one["device"], one["read_bps"]) for one in job["limits"]["disk"]] == [("all", 10 * 2**20)]
    assert "0.5 CPUs, 64 MiB memory, disk all read 10 MiB/s" in ok(shared_server, "status", job_id)
    assert start(shared_server, *flags, "true") == job_id
    assert shared_server.cli("start", *flags, "--pids", "5", "true").returncode == 1


def test_the_same_request_id_is_the_same_job(shared_server: Server) -> None:
    """A start that is sent twice with one request id gives one job."""
    request = fresh_name()
    assert len({start(shared_server, "--request-id", request, "sleep", "0") for _ in range(2)}) == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/no/such/command"], "No such file or directory"),
        (["/etc/passwd"], "Permission denied"),
        (["-w", "/no/such/dir", "true"], "No such file or directory"),
    ],
)
def test_what_cant_be_executed_says_why(shared_server: Server, command: list[str], words: str) -> None:
    """A command that can't be executed is exit 1 in start and 125 in run, with the system's words."""
    for verb, code in (("start", 1), ("run", 125)):
        done = shared_server.cli(verb, *command, text=True)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("Error: ")
        assert words in done.stderr


def test_a_job_from_start_to_deletion(shared_server: Server) -> None:
    """status, list, stop, wait and delete agree on a job, whatever it is called by."""
    name = fresh_name()
    job_id = start(shared_server, "--name", name, "-l", f"test={name}", "sleep", "1000")
    for ref in (job_id, job_id[:8], name):
        assert ok(shared_server, "status", ref).startswith(f"JobID: {job_id} running\ncommand:     sleep 1000\n")
    assert ok(shared_server, "list", "-q", "-l", f"test={name}") == f"{job_id}\n"
    row = ok(shared_server, "list", "--name", name).splitlines()[1].split()
    assert row[:3] == [job_id[:8], name, "running"]
    assert row[-2:] == ["sleep", "1000"]

    refused = shared_server.cli("delete", name, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: ")

    assert ok(shared_server, "stop", name) == f"JobID: {job_id} stopped\n"
    assert ok(shared_server, "stop", name) == f"JobID: {job_id} already ended: stopped, SIGTERM\n"
    assert json.loads(ok(shared_server, "stop", "-o", "json", name))["already_ended"] is True
    assert ok(shared_server, "status", job_id).startswith(f"JobID: {job_id} stopped, SIGTERM\n")
    waited = shared_server.cli("wait", job_id, text=True)
    assert (waited.returncode, waited.stdout) == (143, "")
    assert waited.stderr == f"jsched-cli: job {job_id[:8]}: stopped, SIGTERM\n"

    assert ok(shared_server, "list", "-q", "--name", name) == ""
    assert ok(shared_server, "list", "-aq", "--name", name) == f"{job_id}\n"
    assert ok(shared_server, "delete", name) == f"JobID: {job_id} deleted\n"
    gone = shared_server.cli("status", job_id, text=True)
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"Error: no job '{job_id}'\n")


def test_stop_says_when_force_was_needed(shared_server: Server) -> None:
    """A job that ignores SIGTERM is killed after the grace period, and that is said beside the result."""
    job_id = start(shared_server, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    stream = shared_server.popen_cli("stream", job_id)
    with stream:
        assert stream.stdout is not None
        assert stream.stdout.readline() == b"ready\n"
        done = shared_server.cli("stop", "--grace", "100ms", job_id, text=True)
    assert (done.returncode, done.stdout) == (0, f"JobID: {job_id} stopped\n")
    assert "SIGKILL was needed" in done.stderr
    assert json.loads(ok(shared_server, "status", "-o", "json", job_id))["forced"] is True


def test_list_is_newest_first_and_limited(shared_server: Server) -> None:
    """Jobs come newest first, states and labels narrow them down, and --limit counts."""
    label = f"run={fresh_name()}"
    ids = [start(shared_server, "-l", label, "sh", "-c", f"exit {code}") for code in range(3)]
    for job_id in ids:
        shared_server.cli("wait", job_id)
    assert ok(shared_server, "list", "-aq", "-l", label).split() == ids[::-1]
    assert ok(shared_server, "list", "-aq", "-l", label, "--limit", "2").split() == ids[:0:-1]
    assert (
        ok(shared_server, "list", "-q", "-l", label, "--state", "completed", "--state", "failed").split() == ids[::-1]
    )
    assert ok(shared_server, "list", "-q", "-l", label).split() == []
    assert [job["exit_code"] for job in json.loads(ok(shared_server, "list", "-a", "-o", "json", "-l", label))] == [
        2,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_wait_and_run_end_as_the_job_did(shared_server: Server, script: str, code: int) -> None:
    """wait and run pass on the job's exit code, and 128+n for a signal."""
    assert shared_server.cli("wait", start(shared_server, "sh", "-c", script)).returncode == code
    done = shared_server.cli("run", "sh", "-c", f"echo out; {script}")
    assert (done.returncode, done.stdout) == (code, b"out\n")


def test_wait_for_a_job_that_timed_out(shared_server: Server) -> None:
    """A job that ran into its time limit says so, and wait -o json has the job."""
    job_id = start(shared_server, "--timeout", "200ms", "--grace", "0", "sleep", "1000")
    done = shared_server.cli("wait", "-o", "json", job_id)
    assert done.returncode == 137
    assert json.loads(done.stdout)["reason"] == "time_limit"
    assert b"time limit" in shared_server.cli("wait", job_id).stderr


def test_a_terminal_sees_no_control_characters(shared_server: Server) -> None:
    """On a terminal the table is as wide as it, and escapes in a command stay text."""
    name = fresh_name()
    job_id = start(shared_server, "-n", name, "sh", "-c", "sleep 1000", "\x1b[31mred\x07", "x" * 300)
    master, terminal = os.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    for args in (("list", "--name", name), ("status", name)):
        with subprocess.Popen(
            [BIN / "jsched-cli", *args], stdin=terminal, stdout=terminal, env=shared_server.cli_environment()
        ) as process:
            assert process.wait(30) == 0
        shown = os.read(master, 65536).decode()
        assert "\\x1b[31mred\\x07" in shown
        assert not {"\x1b", "\x07"} & set(shown)
        if args[0] == "list":
            assert all(len(line) <= 120 for line in shown.splitlines())
    os.close(master)
    os.close(terminal)
    ok(shared_server, "stop", "--grace", "0", job_id)


def test_settings_from_everywhere(shared_server: Server, tmp_path: Path) -> None:
    """Flags, variables and a file do the same, flags before or after the verb."""
    certs = shared_server.certs
    files = {"ca": "server-ca.crt", "cert": "admin.crt", "key": "admin.key"}
    nothing = {**dict.fromkeys(("JSCHED_CONFIG", "JSCHED_SERVER"), ""), "HOME": str(tmp_path)}
    flags = [f"--{name}={certs / file}" for name, file in files.items()] + ["--server", shared_server.address]
    ok(shared_server, *flags, "list", env=nothing)
    ok(shared_server, "list", *flags, env=nothing)
    variables = {f"JSCHED_{name.upper()}": str(certs / file) for name, file in files.items()}
    ok(shared_server, "list", env={**nothing, **variables, "JSCHED_SERVER": shared_server.address})
    file = tmp_path / ".config/jsched/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f'server = "{shared_server.address}"\n' + "".join(f'{n} = "{certs / f}"\n' for n, f in files.items())
    )
    ok(shared_server, "list", env=nothing)
    without = shared_server.cli("list", text=True, env={**nothing, "HOME": "/nonexistent"})
    assert without.returncode == 1
    assert without.stderr.startswith("Error: server, ca, cert and key are not set\ngive --server or JSCHED_SERVER")


def test_roles(shared_server: Server) -> None:
    """What a role may not do is refused with the role and what to do, and the job runs on."""
    job_id = ok(shared_server, "start", "-q", "sleep", "1000", who="user").strip()
    refused = shared_server.cli("stop", job_id, who="user", text=True)
    assert refused.returncode == 1
    assert re.match(r"Error: role user may not stop\n.*certificate", refused.stderr)
    assert ok(shared_server, "status", job_id, who="user").startswith(f"JobID: {job_id} running\n")
    ok(shared_server, "stop", "--grace=0", job_id)


@pytest.mark.parametrize("verb", ["start", "run", "wait", "stream", "list"])
def test_no_server(shared_server: Server, verb: str) -> None:
    """A server that is not there is said so at once: exit 125 in run and wait, 1 elsewhere."""
    args = {"start": ["true"], "run": ["true"], "list": []}.get(verb, ["12345678"])
    done = shared_server.cli(verb, "--server", "127.0.0.1:1", *args, text=True)
    assert done.returncode == (125 if verb in ("run", "wait") else 1)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: can't reach the server at 127.0.0.1:1: connection refused\n")


@pytest.mark.parametrize(
    "args", [["strt"], ["start"], ["run", "--nope", "x"], ["wait", "a", "b"], ["log", "--offset=-1", "x"]]
)
def test_usage_errors_are_2(shared_server: Server, args: list[str]) -> None:
    """A wrong command line is exit 2 in every verb, and names where to read more."""
    done = shared_server.cli(*args, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: ")
    assert "--help' for usage." in done.stderr


def test_help_needs_no_server_and_no_grpc(shared_server: Server) -> None:
    """The help of every verb is shown without settings and without importing gRPC."""
    nothing = {**dict.fromkeys(("JSCHED_CONFIG", "JSCHED_SERVER"), ""), "HOME": "/nonexistent"}
    listed = ok(shared_server, env=nothing)
    for verb in re.findall(r"^  (\w+) +\w", listed.split("Commands:")[1].split("Flags:")[0], re.MULTILINE):
        if verb not in ("help", "version"):
            done = shared_server.cli(verb, "--help", env={**nothing, "PYTHONVERBOSE": "1"}, text=True)
            assert done.returncode == 0
            assert re.search(rf"Usage:\n  jsched-cli {verb} (\[command\] )?\[flags\]", done.stdout)
            assert "import 'argparse'" in done.stderr
            assert "import 'grpc'" not in done.stderr
