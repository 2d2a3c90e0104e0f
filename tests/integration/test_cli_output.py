"""stream, log and run: bytes on stdout, the rest on stderr, and what Ctrl-C and closed pipes do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.server import BIN, Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

# Says so when it gets SIGTERM, and ends with 7. No shell: a stop signals its children, too, which a shell comments on.
POLITE = (
    sys.executable,
    "-c",
    """
import os, signal
def bye(*_):
    os.write(1, b"bye\\n")
    os._exit(7)
signal.signal(signal.SIGTERM, bye)
os.write(1, b"ready\\n")
while True:
    signal.pause()
""",
)
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
# Prints numbers until a file is there, so that it runs for as long as the test needs it.
COUNTING = 'i=0; while [ ! -e "$0" ]; do i=$((i+1)); echo $i; sleep 0.02; done; echo end; exit 5'

Cli = subprocess.Popen[bytes]


def start(server: Server, *args: str) -> str:
    """Start a job and return its id."""
    done = server.cli("start", "-q", *args, text=True)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.strip())


def watched(server: Server, *command: str) -> str:
    """Start a job and return its name: the call that looks the name up shows that a client is there."""
    start(server, "--name", "watched", *command)
    return "watched"


def state(server: Server, job_id: str) -> str:
    """Return a job's state."""
    return server.client().get(job_id).state.value


def only_job(server: Server) -> str:
    """Return the id of the only job there is."""
    (job,) = server.client().jobs()
    return job.id


def line(process: Cli) -> bytes:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return bytes(process.stdout.readline())


@contextmanager
def ended(process: Cli) -> Iterator[Cli]:
    """Give a process, and kill it if it outlives the test's interest in it."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def rest(process: Cli) -> tuple[int, bytes, str]:
    """Return the exit code of a process, and what it still prints."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err.decode()


def test_stream_is_the_log_and_nothing_else(shared_server: Server) -> None:
    """stream prints the log's bytes, whatever they are, and stderr stays empty."""
    job_id = start(shared_server, "head", "-c", "3000000", "/dev/urandom")
    done = shared_server.cli("stream", job_id)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (shared_server.log_dir / f"{job_id}.log").read_bytes()
    assert len(done.stdout) == 3_000_000


def test_each_line_comes_at_once(shared_server: Server) -> None:
    """stream holds nothing back: a line can be read while the job waits for the next."""
    job_id = start(shared_server, *POLITE)
    with ended(shared_server.popen_cli("stream", job_id, bufsize=0)) as stream:
        assert line(stream) == b"ready\n"
        assert state(shared_server, job_id) == "running"
        shared_server.client().stop(job_id)
        assert rest(stream) == (0, b"bye\n", "")


def test_log_prints_what_is_there(shared_server: Server) -> None:
    """log ends at once for a running job, begins at --offset, and with -f stays until the end."""
    job_id = start(shared_server, *POLITE)
    with ended(shared_server.popen_cli("log", "-f", "--offset", "2", job_id, bufsize=0)) as follower:
        assert line(follower) == b"ady\n"
        assert shared_server.cli("log", job_id).stdout == b"ready\n"
        assert shared_server.cli("log", "--offset", "5", job_id).stdout == b"\n"
        assert shared_server.cli("log", "--offset", "6", job_id).stdout == b""
        shared_server.client().stop(job_id)
        assert rest(follower) == (0, b"bye\n", "")
    assert shared_server.cli("log", job_id).stdout == b"ready\nbye\n"
    beyond = shared_server.cli("log", "--offset", "1000", job_id, text=True)
    assert (beyond.returncode, beyond.stdout) == (1, "")
    assert beyond.stderr.startswith("Error: ")


@pytest.mark.parametrize("verb", ["stream", "log"])
def test_a_closed_pipe_ends_quietly(shared_server: Server, verb: str) -> None:
    """A reader that has had enough (| head) ends stream and log without a word; the job runs on."""
    job_id = start(shared_server, "sh", "-c", "while :; do echo line; done")
    flags = ["-f"] if verb == "log" else []
    with ended(shared_server.popen_cli(verb, *flags, job_id, bufsize=0)) as process:
        assert line(process) == b"line\n"
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 0)
    assert state(shared_server, job_id) == "running"
    shared_server.client().stop(job_id, 0)


def test_a_closed_pipe_stops_what_run_has_started(server: Server) -> None:
    """A closed stdout ends run's job, as SIGPIPE would have here, and the exit code says SIGPIPE."""
    with ended(server.popen_cli("run", "sh", "-c", "while :; do echo line; done", bufsize=0)) as process:
        assert line(process) == b"line\n"
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 141)
    assert state(server, only_job(server)) == "stopped"


@pytest.mark.parametrize("verb", ["stream", "wait"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_can_be_interrupted(shared_server: Server, verb: str, number: signal.Signals) -> None:
    """Ctrl-C ends stream and wait at once and quietly, and leaves the job alone."""
    name = f"watched-{verb}-{number.name}"
    job_id = start(shared_server, "-n", name, *POLITE)
    before = lookups(shared_server)
    with (
        ended(shared_server.popen_cli("stream", job_id, bufsize=0)) as stream,
        ended(shared_server.popen_cli(verb, name, bufsize=0)) as process,
    ):
        assert line(stream) == b"ready\n"
        if verb == "stream":
            assert line(process) == b"ready\n"
        else:
            wait_until(lambda: lookups(shared_server) > before, what="the call of wait")
        process.send_signal(number)
        code, out, err = rest(process)
        assert (out, err) == (b"", "")
        assert code == (130 if number is signal.SIGINT else -signal.SIGTERM)
        assert state(shared_server, job_id) == "running"
        shared_server.client().stop(job_id)
        rest(stream)


def lookups(server: Server) -> int:
    """Return how often a job was looked up; `wait NAME` does that before it waits."""
    return (server.data_dir / "audit.jsonl").read_text().count("GetJob")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_interrupt_stops_the_job(server: Server, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal stop run's job; its last words are shown, its exit code passed on."""
    with ended(server.popen_cli("run", *POLITE, bufsize=0)) as process:
        assert line(process) == b"ready\n"
        process.send_signal(number)
        assert rest(process) == (7, b"bye\n", "jsched-cli: stopping; press Ctrl-C again to kill it\n")
    assert state(server, only_job(server)) == "stopped"


def test_the_second_interrupt_kills_the_job(server: Server) -> None:
    """Ctrl-C twice ends even a job that ignores SIGTERM, and the exit code is that of SIGKILL."""
    with ended(server.popen_cli("run", "--grace", "1h", "sh", "-c", STUBBORN, bufsize=0)) as process:
        assert line(process) == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert b"stopping" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        code, _, err = rest(process)
    assert code == 137
    assert "killing" in err
    assert state(server, only_job(server)) == "stopped"


def test_whoever_may_not_stop_can_leave(shared_server: Server) -> None:
    """Where the role may not stop a job, the first Ctrl-C says so and the second leaves the job running."""
    with ended(shared_server.popen_cli("run", *POLITE, who="user", bufsize=0)) as process:
        assert line(process) == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.readline() + process.stderr.readline()
        assert b"can't stop the job: role user may not stop" in said
        process.send_signal(signal.SIGINT)
        assert rest(process)[:2] == (130, b"")
    jobs = [job for job in shared_server.client().jobs() if job.owner == "user" and not job.state.ended]
    for job in jobs:
        shared_server.client().stop(job.id, 0)
    assert jobs


def test_control_c_at_a_terminal(server: Server) -> None:
    """The terminal's own Ctrl-C does what the signal does."""
    master, terminal = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", BIN / "jsched-cli", "run", *POLITE],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=server.cli_environment(),
    )
    with ended(process):
        assert line(process) == b"ready\n"
        os.write(master, b"\x03")
        assert rest(process)[:2] == (7, b"bye\n")
    os.close(master)
    os.close(terminal)


@pytest.mark.parametrize("verb", ["stream", "run", "wait"])
@pytest.mark.parametrize("how", ["killed", "drained"])
def test_a_restart_of_the_server_is_survived(server: Server, tmp_path: Path, verb: str, how: str) -> None:
    """stream, run and wait go on where they were after a restart: every byte once, and the right exit code."""
    done = tmp_path / "done"
    command = ["sh", "-c", COUNTING, str(done)]
    process = (
        server.popen_cli("run", *command, bufsize=0)
        if verb == "run"
        else server.popen_cli(verb, watched(server, *command), bufsize=0)
    )
    with ended(process):
        read = b""
        if verb == "wait":
            wait_until(lambda: lookups(server), what="the call of wait")
        else:
            read = line(process) + line(process)
        job_id = only_job(server)
        server.kill() if how == "killed" else server.terminate()
        assert process.stderr is not None
        assert process.stderr.readline().decode() == "jsched-cli: connection lost, reconnecting …\n"
        server.restart()
        if verb == "wait":
            done.touch()
            assert rest(process)[0] == 5
            return
        said = process.stderr.readline().decode()
        done.touch()
        code, out, err = rest(process)
    log = (server.log_dir / f"{job_id}.log").read_bytes()
    assert read + out == log
    assert log.endswith(b"end\n")
    assert (code, err) == (5 if verb == "run" else 0, "")
    match = re.fullmatch(r"jsched-cli: reconnected at offset (\d+)\n", said)
    assert match is not None, said
    assert 0 < int(match[1]) < len(log)


@pytest.mark.parametrize("verb", ["stream", "run", "wait"])
def test_it_gives_up_when_the_server_stays_away(server: Server, verb: str) -> None:
    """After --reconnect-timeout without a server: what was tried, for how long, and the exit code of an own failure."""
    flags = ["--reconnect-timeout", "500ms"]
    if verb == "run":
        process = server.popen_cli("run", *flags, *POLITE, bufsize=0)
    else:
        process = server.popen_cli(verb, *flags, watched(server, *POLITE), bufsize=0)
    with ended(process):
        if verb == "wait":
            wait_until(lambda: lookups(server), what="the call of wait")
        else:
            assert line(process) == b"ready\n"
        server.kill()
        code, out, err = rest(process)
    assert (code, out) == (1 if verb == "stream" else 125, b"")
    said = err.splitlines()
    assert said[0] == "jsched-cli: connection lost, reconnecting …"
    assert said[1].startswith("Error: gave up after 0.5 s: can't reach the server at ")
    if verb == "run":
        assert "jsched-cli stream " in err


def test_a_full_disk_is_an_own_failure(shared_server: Server) -> None:
    """Output that can't be written ends run with 125 and the system's words."""
    with Path("/dev/full").open("wb") as full:
        done = shared_server.cli("run", "echo", "x", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 125
    assert done.stderr.startswith(b"Error: can't write to stdout: No space left on device\n")
