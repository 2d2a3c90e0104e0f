"""A real `jsched serve`, as a process of its own, that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from jsched.client import Client
from jsched.client.settings import load
from jsched.isolation.discovery import look
from jsched.isolation.hierarchy import Hierarchy, group_name
from jsched.linux import file_attributes, process
from jsched.spec_fields import JOB_ID_VARIABLE
from jsched.supervisor import record
from tests.helpers.wait import wait_until

BIN = Path(sys.executable).parent
START_SECONDS = 60.0
# Most tests are about something else, and their jobs talk to them through files.
WITHOUT_WALLS = '[isolation]\ndefault = "none"\n'
END_SECONDS = 40.0
CLI_SECONDS = 60.0
_READY = re.compile(r"^jsched: serving on (\S+)$", re.MULTILINE)
# The server, its launcher and their monitors have it in their environment, whoever their parent is.
_MARK = "JSCHED_TEST_SERVER"

Process = tuple[int, int]


class Server:
    """A server with its data, its logs and its output under `root`, on a free port of its own.

    `args` and `env` are given to `jsched serve` besides what it needs, `config` is its configuration file.
    In a `with` it is started, and closed with all that it has started.
    """

    def __init__(
        self,
        root: Path,
        certs: Path,
        *,
        args: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        config: str = WITHOUT_WALLS,
    ):
        self.root = root
        self.certs = certs
        self.data_dir = root / "data"
        self.log_dir = root / "logs"
        self.output = root / "server.log"
        self.address = "127.0.0.1:0"
        self._args = args
        self._config = config
        self._env = env or {}
        self._mark = f"{_MARK}={uuid.uuid4()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Client] = []

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def launcher_pid(self) -> int:
        """The process id of the launcher, which is the server's one child."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        children = [child for thread in threads for child in (thread / "children").read_text().split()]
        assert len(children) == 1, f"the server has the children {children}"
        return int(children[0])

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the server and return once it serves; raises AssertionError with what it printed."""
        assert not self.is_running, "the server runs already"
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "jsched.toml").write_text(self._config)
        with self.output.open("ab") as output:
            position = output.tell()
            self._process = subprocess.Popen(
                [
                    BIN / "jsched",
                    "serve",
                    f"--config={self.root / 'jsched.toml'}",
                    f"--listen={self.address}",
                    f"--certs={self.certs}",
                    f"--data-dir={self.data_dir}",
                    f"--log-dir={self.log_dir}",
                    *self._args,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=self._environment(),
            )
        started = self._process

        def ready() -> re.Match[str] | None:
            ended = started.poll()
            match = _READY.search(self.printed()[position:])
            assert match or ended is None, f"the server ended with {ended}:\n{self.printed()[position:]}"
            return match

        self.address = wait_until(ready, START_SECONDS, "the server's line that it serves")[1]

    @property
    def is_running(self) -> bool:
        """Whether the server was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def printed(self) -> str:
        """Return all that the server has printed, one character a byte."""
        return self.output.read_bytes().decode("latin-1")

    def kill(self) -> None:
        """End the server with SIGKILL, and return once it is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(END_SECONDS)

    def terminate(self) -> int:
        """Ask the server to end with SIGTERM, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(END_SECONDS)

    def restart(self) -> None:
        """Start the server again on the port that it had; if it runs, it is asked to end before."""
        if self.is_running:
            assert self.terminate() == 0, f"the server did not end well:\n{self.printed()}"
        self.start()

    def client(self, who: str = "admin", **settings: Any) -> Client:
        """Return a client with the certificate of `who`; it is closed with the server."""
        client = Client(load({"config": self.certs / f"{who}.toml", "server": self.address, **settings}, environ={}))
        self._clients.append(client)
        return client

    def cli(self, *args: str, who: str = "admin", **kwargs: Any) -> subprocess.CompletedProcess[Any]:
        """Run `jsched-cli` to its end; what it prints is bytes, unless `text=True` is given."""
        given = {"capture_output": True, "timeout": CLI_SECONDS, "stdin": subprocess.DEVNULL} | kwargs
        if {"stdout", "stderr"} & kwargs.keys():
            del given["capture_output"]
        if "input" in kwargs:
            del given["stdin"]
        env = self.cli_environment(who) | given.pop("env", {})
        return subprocess.run([BIN / "jsched-cli", *args], env=env, check=False, **given)

    def popen_cli(self, *args: str, who: str = "admin", **kwargs: Any) -> subprocess.Popen[Any]:
        """Start `jsched-cli`, with pipes for its output; the caller ends it."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        given = pipes | kwargs
        env = self.cli_environment(who) | given.pop("env", {})
        return subprocess.Popen([BIN / "jsched-cli", *args], env=env, **given)

    def cli_environment(self, who: str = "admin") -> dict[str, str]:
        """Return the environment in which `jsched-cli` is `who` and knows this server."""
        return {
            **_without_jsched(os.environ),
            "JSCHED_CONFIG": str(self.certs / f"{who}.toml"),
            "JSCHED_SERVER": self.address,
        }

    def job_ids(self) -> set[str]:
        """Return the ids of all jobs that have left a trace in the server's files."""
        traces = (
            *self.log_dir.glob("*.log"),
            *(self.data_dir / "runs").glob("*"),
            *(self.data_dir / "exits").glob("*"),
        )
        return {path.name.removesuffix(".log") for path in traces if not path.name.startswith(".")}

    def close(self, patience: float = END_SECONDS) -> None:
        """End the clients, the server and its jobs; raises AssertionError if anything outlives that for `patience` s.

        Jobs that a test has left running are ended as a stop does it, with no grace. What
        is still there then has escaped from its monitor, and is killed.
        """
        for client in self._clients:
            client.close()
        problems = []
        if self.is_running:
            try:
                if code := self.terminate():
                    problems.append(f"the server ended with {code} after SIGTERM:\n{self.printed()[-4000:]}")
            except subprocess.TimeoutExpired:
                self.kill()
                problems.append(f"the server did not end after SIGTERM:\n{self.printed()[-4000:]}")
        self._stop_jobs()
        try:
            wait_until(lambda: not self.processes(), patience, "the end of the launcher and of all jobs")
        except AssertionError:
            left = self.processes()
            problems += [f"left behind: {_describe(pid)}" for pid, _ in left]
            _kill(left)
        self._remove_group()
        for log in self.log_dir.glob("*.log"):
            # One whose monitor was killed could not be removed with the rest.
            with contextlib.suppress(OSError):
                file_attributes.release(log)
        assert not problems, "\n".join(problems)

    def _remove_group(self) -> None:
        """Remove the group of the jobs' cgroups, which a server that was killed leaves for the next one."""
        group = look(group_name(self.data_dir))
        if isinstance(group, Hierarchy):
            # Of a job whose monitor was killed too.
            group.sweep(())
            group.remove()

    def _stop_jobs(self) -> None:
        for job_id in self.job_ids():
            run = record.read_run(self.data_dir / "runs", job_id)
            pidfd = run and process.open_process(run.monitor_pid, run.monitor_start)
            if pidfd is not None:
                record.write_stop(self.data_dir / "stops", job_id, 0)
                _signal(pidfd, signal.SIGTERM)

    def processes(self) -> list[Process]:
        """Return what belongs to this server: it, its launcher, the monitors, their trees, and all jobs' processes."""
        jobs = {os.fsencode(f"{JOB_ID_VARIABLE}={job_id}") for job_id in self.job_ids()}
        found = {
            one for one in _everybody() if not (jobs | {self._mark.encode()}).isdisjoint(_read_environment(one[0]))
        }
        for pid, _ in tuple(found):
            found.update(process.family(pid).items())
        return sorted(found)

    def _environment(self) -> dict[str, str]:
        name, _, value = self._mark.partition("=")
        # The host's own configuration of jsched is not meant for this server.
        return {**_without_jsched(os.environ), "JSCHED_SERVER_CONFIG": os.devnull, name: value, **self._env}


def _without_jsched(environ: os._Environ[str]) -> dict[str, str]:
    """Return an environment that says nothing of jsched, nor of a terminal that is not the test's."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("JSCHED_") and name not in ("COLUMNS", "LINES")
    }


def _everybody() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                yield int(name), process.start_time(int(name))


def _read_environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _kill(processes: list[Process]) -> None:
    for pid, start_time in processes:
        pidfd = process.open_process(pid, start_time)
        if pidfd is not None:
            _signal(pidfd, signal.SIGKILL)


def _signal(pidfd: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)
    os.close(pidfd)


def _describe(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        return f"process {pid}: {command or Path(f'/proc/{pid}/stat').read_text()}"
    except OSError:
        return f"process {pid}, gone meanwhile"
