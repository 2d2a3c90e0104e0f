"""`kill -9` of server and launcher at random moments, again and again: nothing is lost, nothing is twice."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
import secrets
import signal
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.client import Client
from jsched.errors import StartFailed
from jsched.job import Chunk, Exited, Job, JobSpec, Reason, Signaled
from jsched.state import JobState
from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.aftermath import DEADLINE, assert_nothing_left, in_background, rows
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = [pytest.mark.timeout(110), pytest.mark.slow]

ROUNDS = 8
STARTERS = 4
STARTS_A_ROUND = 10
LINES = 40
# Adds a line to $0, prints $1 lines that begin with $2, ends with $3.
LONG = 'echo ran >> "$0"; i=0; while [ $i -lt $1 ]; do echo "$2 $i"; i=$((i+1)); sleep 0.02; done; exit $3'
SHORT = 'echo ran >> "$0"; echo "$2 only"; exit $3'
SLEEPER = 'echo ran >> "$0"; echo "$2 up"; exec sleep 1000'
KINDS = ("short", "short", "long", "long", "stopped", "time limit", "fails", "careless")


@dataclass
class Started:
    """A start that was asked for, and what its job is to come to."""

    key: str
    kind: str
    ran: Path
    code: int
    job: Job | None = None
    follower: Future[tuple[bytes, Job | None]] | None = None
    streamer: Future[tuple[bytes, int]] | None = None
    stop: Future[Any] | None = None

    @property
    def output(self) -> bytes:
        """What the job prints."""
        if self.kind == "long":
            return b"".join(b"%s %d\n" % (self.key.encode(), number) for number in range(LINES))
        return f"{self.key} {'up' if self.kind in ('stopped', 'time limit') else 'only'}\n".encode()

    @property
    def runs(self) -> int:
        """How often the command was executed."""
        return len(self.ran.read_text().splitlines()) if self.ran.exists() else 0


@dataclass
class Load:
    """Threads that start jobs, a budget a round, and note what they were answered."""

    server: Server
    root: Path
    seed: int
    started: list[Started] = field(default_factory=list)
    careless: list[Started] = field(default_factory=list)
    budget: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    # Acknowledged starts and chunks of followers: by these the moments to kill are told.
    events: itertools.count[int] = field(default_factory=itertools.count)
    seen: int = 0
    over: bool = False

    def happened(self) -> None:
        """Count an event."""
        self.seen = next(self.events)

    def has_seen(self, moment: int) -> bool:
        """Whether so many events have happened."""
        return self.seen >= moment

    def work(self, number: int, client: Client) -> None:
        """Start jobs until it is over."""
        dice = random.Random(f"{self.seed} starter {number}")
        for count in itertools.count():
            self.budget.acquire()
            if self.over:
                return
            key = f"k{number}-{count}"
            self.start(client, Started(key, dice.choice(KINDS), self.root / key, dice.randrange(256)), dice)

    def start(self, client: Client, one: Started, dice: random.Random) -> None:
        """Start one job, with whatever belongs to its kind."""
        spec = self.spec(one)
        if one.kind == "careless":
            self.careless.append(one)
            self.start_once(one, spec)
            return
        self.started.append(one)
        try:
            one.job = client.start(spec, request_id=one.key)
        except StartFailed:
            assert one.kind == "fails", one
        else:
            assert one.kind != "fails", one
            self.follow(client, one, dice)
        self.happened()

    def start_once(self, one: Started, spec: JobSpec) -> None:
        """Ask for a start as a client does that never tries again."""
        with calls.channel(self.server) as channel, contextlib.suppress(grpc.RpcError):
            request = pb.StartJobRequest(argv=spec.argv, name=spec.name, request_id=one.key)
            answer = calls.stub(channel).StartJob(request, timeout=DEADLINE)
            one.job = client_job(answer)
        self.happened()

    def spec(self, one: Started) -> JobSpec:
        """Return what is to be started."""
        script = {"long": LONG, "stopped": SLEEPER, "time limit": SLEEPER}.get(one.kind, SHORT)
        words = ["sh", "-c", script, str(one.ran), str(LINES), one.key, str(one.code)]
        return JobSpec(
            ["/no/such/command"] if one.kind == "fails" else words,
            name=f"name-{one.key}",
            timeout=0.4 if one.kind == "time limit" else None,
        )

    def follow(self, client: Client, one: Started, dice: random.Random) -> None:
        """Follow the job in one way or another, and stop it if it is to be stopped."""
        assert one.job is not None
        if one.kind == "stopped":
            one.stop = in_background(self.stop, client, one.job.id)
        if one.kind == "long" and dice.random() < 0.25:
            one.streamer = in_background(self.stream, one.job.id)
        else:
            one.follower = in_background(self.read, client, one.job.id)

    def stream(self, job_id: str) -> tuple[bytes, int]:
        """Return what `jsched-cli stream` prints, and its exit code."""
        deadline = time.monotonic() + DEADLINE
        while True:
            command = self.server.popen_cli("stream", job_id, "--reconnect-timeout=30s")
            output, said = command.communicate(timeout=DEADLINE)
            # A server that has never answered it is none that it waits for.
            if output or command.returncode == 0 or time.monotonic() > deadline:
                sys.stderr.write(said.decode())
                return output, command.returncode

    def stop(self, client: Client, job_id: str) -> Any:
        """Stop a job once it has said that it is up: before that, sh might be what is ended."""
        with client.follow(job_id) as stream:
            next(stream)
        return client.stop(job_id)

    def read(self, client: Client, job_id: str) -> tuple[bytes, Job | None]:
        """Return a job's output, read to its end through every restart, and the job."""
        data = bytearray()
        with client.follow(job_id) as stream:
            for chunk in stream:
                assert isinstance(chunk, Chunk)
                assert chunk.offset == len(data)
                data += chunk.data
                self.happened()
            return bytes(data), stream.ended


def client_job(answer: pb.StartJobResponse) -> Job:
    """Return the job of an answer as the client shows it."""
    from jsched.client import decode

    return decode.job(answer.job)


def kill(server: Server, victim: str) -> None:
    """Kill launcher, server or both; a server that was killed is started again."""
    if "launcher" in victim:
        # None while another is being started after the one before was killed.
        os.kill(wait_until(lambda: launcher_of(server), DEADLINE, "a launcher"), signal.SIGKILL)
    if "server" in victim:
        server.kill()
        server.start()


def launcher_of(server: Server) -> int | None:
    try:
        return server.launcher_pid
    except (AssertionError, FileNotFoundError):
        return None


def test_nothing_is_lost_and_nothing_is_twice(server: Server, tmp_path: Path) -> None:
    """However often server and launcher are killed, each acknowledged job ran once, and all of it is there."""
    seed = int(os.environ.get("TEST_SEED") or secrets.randbits(32))
    print(f"TEST_SEED={seed}")
    dice = random.Random(seed)
    (tmp_path / "ran").mkdir()
    load = Load(server, tmp_path / "ran", seed)
    clients = [server.client(reconnect_timeout=DEADLINE) for _ in range(STARTERS)]
    # One that has never reached its server would not wait for it.
    for client in clients:
        client.list()
    starters = [in_background(load.work, number, client) for number, client in enumerate(clients)]
    for _ in range(ROUNDS):
        moment = load.seen + dice.randrange(1, 60)
        for _ in range(STARTS_A_ROUND):
            load.budget.release()
        # As many events as there were dice for; if the load is over before, that is a moment too.
        with contextlib.suppress(AssertionError):
            wait_until(functools.partial(load.has_seen, moment), 1.0)
        kill(server, dice.choice(("server", "launcher", "server and launcher", "launcher and server")))
    load.over = True
    for _ in starters:
        load.budget.release()
    for starter in starters:
        starter.result(DEADLINE)

    client = server.client()
    for one in load.started:
        check(client, one)
    table = {row["request_id"]: row for row in rows(server).values()}
    assert len(table) == len(rows(server))
    assert {one.key for one in load.started} <= table.keys()
    for one in load.careless:
        check_careless(client, one, table.get(one.key))
    assert table.keys() <= {one.key for one in [*load.started, *load.careless]}
    for one in load.started[:5]:
        client.wait(client.start(JobSpec(("true",), name=f"name-{one.key}")).id)
    assert_nothing_left(server)
    logs = {path.name for path in server.log_dir.iterdir()}
    assert logs == {f"{job_id}.log" for job_id in rows(server)}
    assert "a defect in the engine" not in server.printed()


def check(client: Client, one: Started) -> None:
    """Check that a start that was answered came to what it had to come to."""
    if one.kind == "fails":
        assert one.runs == 0
        return
    assert one.job is not None, one
    job = client.wait(one.job.id)
    assert one.runs == 1, (one, job)
    assert Path(job.log_path).read_bytes() == one.output, (one, job)
    if one.kind == "stopped":
        assert (job.state, job.outcome) == (JobState.STOPPED, Signaled(signal.SIGTERM)), job
        assert one.stop is not None
        assert one.stop.result(DEADLINE).job.id == job.id
    elif one.kind == "time limit":
        assert (job.state, job.reason) == (JobState.TERMINATED, Reason.TIME_LIMIT), job
    else:
        assert (job.state, job.outcome) == (JobState.COMPLETED, Exited(one.code)), job
    if one.streamer is not None:
        assert one.streamer.result(DEADLINE) == (one.output, 0)
    if one.follower is not None:
        assert one.follower.result(DEADLINE) == (one.output, job)


def check_careless(client: Client, one: Started, row: dict[str, Any] | None) -> None:
    """Check that a start that may not have been answered is there whole or not at all."""
    if row is None:
        assert one.job is None, "an acknowledged job is gone"
        assert one.runs == 0, one
        return
    job = client.wait(row["id"])
    assert one.job is None or one.job.id == job.id
    assert (job.state, job.outcome) == (JobState.COMPLETED, Exited(one.code)), job
    assert one.runs == 1, one
    assert Path(job.log_path).read_bytes() == one.output
