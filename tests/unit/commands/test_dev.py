from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.commands.dev import jobs
from jsched.commands.dev.places import Places
from jsched.isolation.discovery import look
from jsched.isolation.hierarchy import Hierarchy, group_name
from jsched.linux import process
from tests.helpers.server import BIN
from tests.helpers.wait import wait_until


@pytest.fixture
def place(tmp_path: Path, certs: Path) -> Iterator[Path]:
    """A directory with certificates and a space in its name, whose server and jobs are ended afterwards."""
    root = tmp_path / "a checkout"
    shutil.copytree(certs, root / "certs")
    yield root
    assert dev(root, "down").returncode == 0
    places = Places(root)
    jobs.end(places, jobs.running(places))
    group = look(group_name(places.data))
    if isinstance(group, Hierarchy):
        # The next server would remove it, and there is none.
        group.sweep(())
        group.remove()


def dev(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `jsched dev` in a directory."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JSCHED_")}
    return subprocess.run(
        [BIN / "jsched", "dev", *words], cwd=root, env=environ, capture_output=True, text=True, check=False, timeout=90
    )


def up(root: Path) -> int:
    """Start the server on a free port, and return its process id."""
    started = dev(root, "up", "--listen", "127.0.0.1:0")
    assert started.returncode == 0, started.stderr
    return int((root / ".jsched" / "server.pid").read_text())


def address(root: Path) -> str:
    """Return where the server of a directory serves."""
    return str(json.loads((root / ".jsched" / "server.json").read_text())["address"])


def cli(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `jsched-cli` as the admin of a directory."""
    environ = {"PATH": os.environ["PATH"], "JSCHED_CONFIG": str(root / "certs/admin.toml")}
    environ["JSCHED_SERVER"] = address(root)
    return subprocess.run(
        [BIN / "jsched-cli", *words], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def is_alive(pid: int) -> bool:
    """Return whether a process is there that has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_up_starts_a_server_once(place: Path) -> None:
    """The second `up` finds the first one's server and uses it; `down` ends it, and twice is harmless."""
    pid = up(place)
    again = dev(place, "up")
    assert again.returncode == 0
    assert f"using the server that runs: process {pid}" in again.stdout
    stopped = dev(place, "down")
    assert f"stopped the server (process {pid})" in stopped.stdout
    assert not is_alive(pid)
    nothing = dev(place, "down")
    assert (nothing.returncode, nothing.stdout) == (0, "no server runs here\n")


def test_another_address_than_the_running_server_s_is_refused(place: Path) -> None:
    """Asking for an address while the server runs on another says which it is, and leaves it alone."""
    pid = up(place)
    refused = dev(place, "up", "--listen", "127.0.0.1:1")
    assert refused.returncode == 1
    assert f"on {address(place)} and not on 127.0.0.1:1" in refused.stderr
    assert is_alive(pid)


def test_a_port_that_is_taken_is_said_with_who_has_it(place: Path) -> None:
    """A port with a listener is refused before anything is started, naming the process and what to type."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = dev(place, "up", "--listen", f"127.0.0.1:{port}")
    assert refused.returncode == 1
    assert f"port {port} is taken by process {os.getpid()} " in refused.stderr
    assert "make run LISTEN=127.0.0.1:" in refused.stderr
    assert not (place / ".jsched" / "server.pid").exists()


def test_a_recycled_process_id_is_never_signalled(place: Path) -> None:
    """A record that names a living process with another start time is not believed: it survives `down` and `up`."""
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        try:
            record = {"pid": stranger.pid, "start_time": 1, "address": "127.0.0.1:1", "boot_id": process.boot_id()}
            (place / ".jsched").mkdir()
            (place / ".jsched" / "server.json").write_text(json.dumps(record))
            assert dev(place, "down").stdout == "no server runs here\n"
            (place / ".jsched" / "server.json").write_text(json.dumps(record))
            assert up(place) != stranger.pid
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_broken_record_is_no_server(place: Path, text: str) -> None:
    """Whatever stands in the record, `down` finds no server and succeeds."""
    (place / ".jsched").mkdir()
    (place / ".jsched" / "server.json").write_text(text)
    found = dev(place, "down")
    assert (found.returncode, found.stdout) == (0, "no server runs here\n")


def test_a_server_that_does_not_start_is_shown_in_its_own_words(place: Path) -> None:
    """With half of the certificates gone, `up` fails with the server's message and not with a traceback."""
    (place / "certs" / "server.key").unlink()
    failed = dev(place, "up", "--listen", "127.0.0.1:0")
    assert failed.returncode == 1
    assert "certs/server.key is not there" in failed.stderr
    assert ".jsched/server.log" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (place / ".jsched" / "server.pid").exists()


def test_jobs_outlive_the_server_and_are_counted(place: Path) -> None:
    """After `down` and after kill -9 a job runs on, `down` and `up` say so, and it is there in the next server."""
    up(place)
    job = cli(place, "start", "-q", "--", "sleep", "1000").stdout.strip()
    assert "1 job runs on" in dev(place, "down").stdout
    assert "1 job ran on while no server was there" in dev(place, "up", "--listen", "127.0.0.1:0").stdout
    pid = int((place / ".jsched" / "server.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), what="the server's end")
    up(place)
    assert f"{job} running" in cli(place, "status", job).stdout


def test_a_second_up_waits_for_nobody(place: Path) -> None:
    """While another `jsched dev` holds the directory, `up` says so at once."""
    with Places(place).locked():
        refused = dev(place, "up")
    assert refused.returncode == 1
    assert "another make works" in refused.stderr
    assert dev(place, "down").returncode == 0


def test_the_demo_runs_a_job_and_what_it_prints_can_be_pasted(place: Path) -> None:
    """The demo streams a job that ends well; its next lines, pasted into a shell there, all succeed."""
    (place / ".venv").mkdir()
    (place / ".venv" / "bin").symlink_to(BIN)
    up(place)
    demo = dev(place, "demo")
    assert demo.returncode == 0, demo.stderr
    assert "Working........................................ done." in demo.stdout
    listed = demo.stdout.partition("in this directory:")[2].partition("A job that runs")[0]
    pasted = subprocess.run(
        ["sh", "-e"], input=listed, cwd=place, capture_output=True, text=True, check=False, timeout=60
    )
    assert pasted.returncode == 0, pasted.stderr
    assert "completed" in pasted.stdout
    assert "My whole environment:" in pasted.stdout
    assert "JSCHED_SERVER" not in next((place / "logs").glob("*.log")).read_text()


def test_clean_works_in_a_checkout_alone(place: Path) -> None:
    """In a directory that is no checkout of jsched nothing is stopped or removed."""
    pid = up(place)
    refused = dev(place, "clean")
    assert refused.returncode == 1
    assert "is not a checkout of jsched" in refused.stderr
    assert is_alive(pid)
    assert (place / "certs" / "server.key").exists()


def test_clean_ends_everything_and_keeps_what_is_tracked(place: Path) -> None:
    """Server and jobs end, what was made is removed, and the README of certs and somebody's own file stay."""
    (place / "setup.cfg").write_text("[metadata]\nname = jsched\n")
    (place / "Makefile").write_text("")
    (place / "certs" / "README.md").write_text("kept")
    (place / "logs").mkdir()
    (place / "logs" / "notes.txt").write_text("kept")
    (place / "jsched" / "__pycache__").mkdir(parents=True)
    server_pid = up(place)
    job = cli(place, "start", "-q", "--", "sh", "-c", "trap '' TERM; sleep 1000").stdout.strip()
    job_pid = json.loads(cli(place, "status", "-o", "json", job).stdout)["pid"]
    assert jobs.running(Places(place))[0].job_id == job

    cleaned = dev(place, "clean")
    assert cleaned.returncode == 0, cleaned.stderr
    assert "ended 1 job" in cleaned.stdout
    assert not is_alive(server_pid)
    assert not is_alive(job_pid)
    left = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    assert left == ["Makefile", "certs/README.md", "logs/notes.txt", "setup.cfg"]
    assert not (place / "jsched" / "__pycache__").exists()
    assert dev(place, "clean").stdout.endswith("nothing to remove\n")


def test_down_needs_nothing_but_python(place: Path) -> None:
    """A Python without any of the dependencies can stop the server: make stop works where .venv is gone."""
    pid = up(place)
    source = Path(__file__).parents[3]
    stopped = subprocess.run(
        [sys.executable, "-S", "-m", "jsched.commands.main", "dev", "down"],
        cwd=place,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert stopped.returncode == 0, stopped.stderr
    assert not is_alive(pid)
