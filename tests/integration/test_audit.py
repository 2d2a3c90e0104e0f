"""The audit trail of a real server: through restarts and kills, on a full disk, and as it is verified."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.audit import chain
from jsched.audit.trail import Trail
from jsched.audit.verify import verify
from jsched.client import Client
from jsched.errors import JschedError, ResourceExhausted
from jsched.job import JobFilter, JobSpec, Signaled
from jsched.state import LIVE_STATES
from jsched.supervisor import record
from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.aftermath import DEADLINE, in_background
from tests.helpers.feed import Feed
from tests.helpers.server import BIN, Server
from tests.helpers.small_disk import fill, server_on_a_small_disk
from tests.helpers.trail import trail
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

KILLS = 3


def of_calls(server: Server, verb: str) -> list[dict[str, Any]]:
    return [line for line in trail(server) if line.get("verb") == verb]


def audit_verify(*args: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "jsched", "audit", "verify", *args], input=stdin, capture_output=True, text=True, check=False, timeout=60
    )


def test_who_started_what_and_when_the_server_ran(server: Server) -> None:
    """The trail has the server's start and end, and of a job's start the command line and no value of a variable."""
    nasty = "a\nb\r\x1b]0;x\x07\u202e\u2028"
    with calls.channel(server) as channel:
        request = pb.StartJobRequest(argv=["echo", nasty, "x" * 5000], env={"TOKEN": "s3cret", "A": "s3cret"}, name="n")
        job_id = calls.stub(channel).StartJob(request, timeout=DEADLINE).job_id
    server.client().wait(job_id)
    server.restart()
    lines = trail(server)
    assert [line["event"] for line in lines if line["event"].startswith("server_")] == [
        "server_start",
        "server_stop",
        "server_start",
    ]
    assert [line["listen"] for line in lines if line["event"] == "server_start"] == [server.address] * 2
    (start,) = of_calls(server, "start")
    assert start["argv"][:2] == ["echo", nasty]
    assert (start["env"], start["job"]) == (["A", "TOKEN"], job_id)
    assert start["argv_left_out"] > 3000
    content = (server.data_dir / "audit.jsonl").read_bytes()
    assert b"s3cret" not in content
    assert content.isascii()
    assert len(content.splitlines()) == len(lines)
    assert audit_verify(f"--data-dir={server.data_dir}").returncode == 0


def test_a_start_whose_caller_has_gone_names_its_job(server: Server) -> None:
    """A job runs though its caller has cancelled the start, and the line of that start says which it is."""
    with calls.channel(server) as channel:
        stub = calls.stub(channel)
        stub.GetStats(pb.GetStatsRequest(), timeout=DEADLINE)
        for number in range(20):
            request = pb.StartJobRequest(argv=["true"], labels={"number": str(number)})
            start = stub.StartJob.future(request, timeout=DEADLINE)
            with contextlib.suppress(grpc.FutureTimeoutError, grpc.FutureCancelledError):
                start.result(timeout=0.0005 * number)
            start.cancel()
        stub.GetStats(pb.GetStatsRequest(), timeout=DEADLINE)

    def lines() -> list[dict[str, Any]]:
        return of_calls(server, "start")

    client = server.client()
    wait_until(lambda: not client.list(JobFilter(states=LIVE_STATES)).jobs, 60.0, "the end of all jobs")
    started = {job.id for job in client.list().jobs}
    wait_until(lambda: started <= {line["job"] for line in lines()}, 60.0, "a line that names each job")
    assert any(line["status"] == "CANCELLED" for line in lines())


def kill_again_and_again(server: Server, verb: str, act: Callable[[Client], object]) -> None:
    """Kill the server with SIGKILL and start it again while four clients do something that has lines of this verb."""
    stopping = threading.Event()

    def keep_acting(client: Client) -> None:
        while not stopping.is_set():
            with contextlib.suppress(JschedError):
                act(client)

    server.restart()
    threads = [threading.Thread(target=keep_acting, args=(server.client("user"),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            before = len(of_calls(server, verb))
            wait_until(lambda: len(of_calls(server, verb)) > before + 20, DEADLINE, "some calls")  # noqa: B023
            server.kill()
            server.start()
    finally:
        stopping.set()
        for thread in threads:
            thread.join(DEADLINE)


def test_the_chain_goes_on_through_kills(server: Server) -> None:
    """Killed with SIGKILL in the middle of its calls, again and again, the server goes on with the chain."""
    kill_again_and_again(server, "list", lambda client: client.list())
    path = server.data_dir / "audit.jsonl"
    anchors = [link for link in chain.find_anchors(server.printed()) if link.seq]
    report = verify([path], anchors)
    assert report.problems == []
    assert len(anchors) > KILLS
    assert sum(line["event"] == "server_start" for line in trail(server)) == KILLS + 2


def test_every_job_is_in_the_trail_through_kills(server: Server) -> None:
    """Of a job whose start was under way at a kill the next server writes a line, and every other has its call's."""
    kill_again_and_again(server, "start", lambda client: client.start(JobSpec(["true"])))
    found = trail(server)
    unrecorded = [line for line in found if line["event"] == "start_unrecorded"]
    assert unrecorded, "no kill has met a start"
    assert {(line["user"], tuple(line["argv"])) for line in unrecorded} == {("user", ("true",))}
    first_lines: dict[str, str] = {}
    for line in found:
        if line.get("verb") == "start" or line["event"] == "start_unrecorded":
            # The client asks again with its request id, and then the job has a call's line as well.
            first_lines.setdefault(line["job"], line["event"])
            assert line["event"] == "call" or first_lines[line["job"]] == "start_unrecorded"
    assert len({line["job"] for line in unrecorded}) == len(unrecorded)
    page = server.client().list(page_size=1000)
    assert not page.next_page_token
    assert {job.id for job in page.jobs} <= set(first_lines)


def test_a_stream_that_is_open_when_the_server_is_killed_is_in_the_trail(server: Server, feed: Feed) -> None:
    """When a follower's first bytes arrive, the trail says who follows which job."""
    client = server.client()
    job = client.start(JobSpec(feed.argv))
    stream = server.client("user").follow(job.id)
    feed.write(b"one\n")
    assert next(stream).data == b"one\n"
    server.kill()
    (opened,) = of_calls(server, "stream")
    assert (opened["event"], opened["user"], opened["job"], opened["decision"]) == ("open", "user", job.id, "allow")
    server.start()
    feed.end(b"two\n")
    assert b"".join(chunk.data for chunk in stream) == b"two\n"
    wait_until(lambda: of_calls(server, "stream")[-1]["event"] == "end", DEADLINE, "the end of the stream")
    again, ended = of_calls(server, "stream")[-2:]
    assert (again["event"], ended["opened_seq"], ended["sent"]) == ("open", again["seq"], 4)


@pytest.fixture
def small(tmp_path: Path, certs: Path) -> Iterator[Server]:
    """A server with its data on a file system of 3 MiB of its own."""
    with server_on_a_small_disk(tmp_path / "server", certs, 3 << 20) as server:
        server.start()
        yield server


def use_up(server: Server, job_id: str) -> int:
    """Make calls until there is no room for their lines, and return how many there were."""
    with calls.channel(server) as channel:
        stub = calls.stub(channel)
        for count in range(4000):
            try:
                stub.GetJob(pb.GetJobRequest(job_id=job_id), timeout=DEADLINE)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert error.details() == "the audit trail can't be written"
                return count
    raise AssertionError("there is still room")


def stop_nothing(server: Server) -> None:
    """Ask for the stop of a job that is not there, which has its answer at once."""
    with calls.channel(server) as channel:
        refusal = calls.refused(calls.stub(channel).StopJob, pb.StopJobRequest(job_id="no-such-job"))
    assert refusal.code is grpc.StatusCode.NOT_FOUND
    assert of_calls(server, "stop")[-1]["job"] == "no-such-job"


def test_on_a_full_disk_a_stop_has_its_line_and_nothing_else_is_done(small: Server, tmp_path: Path) -> None:
    """With no room for a line nothing is started; a stop works and is in the trail, after a restart too."""
    job = small.client().start(JobSpec(("sleep", "1000")))
    fill(small.data_dir)
    assert use_up(small, job.id) > 100
    ran = tmp_path / "ran"
    with pytest.raises(ResourceExhausted, match="audit trail"):
        small.client().start(JobSpec(("touch", str(ran))))
    stop_nothing(small)
    small.kill()
    small.start()
    use_up(small, job.id)
    stop_nothing(small)
    stop = in_background(small.client().stop, job.id)
    assert stop.result(DEADLINE).job.outcome == Signaled(15)
    (small.data_dir / "fill").unlink()
    small.client().list()
    wait_until(lambda: "lines_missing" in {line["event"] for line in trail(small)}, DEADLINE, "the count of refusals")
    assert not ran.exists()
    assert [line["job"] for line in of_calls(small, "stop") if line["status"] == "OK"] == [job.id]
    assert len(of_calls(small, "start")) == 1
    assert verify([small.data_dir / "audit.jsonl"]).problems == []


def test_refused_handshakes_are_in_the_trail(shared_server: Server) -> None:
    """A client without a certificate leaves a line with its address and why it was refused, and nothing in the log."""
    server = shared_server
    host, _, port = server.address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port))) as raw, contextlib.suppress(OSError):
        peer = f"ipv4:127.0.0.1:{raw.getsockname()[1]}"
        context.wrap_socket(raw).recv(1)
    refused = wait_until(
        lambda: [line for line in trail(server) if line["event"] == "handshake_refused" and line["peer"] == peer],
        DEADLINE,
        "a line",
    )
    assert [line["reason"] for line in refused] == ["PEER_DID_NOT_RETURN_A_CERTIFICATE"]
    assert "SSL" not in server.printed()
    assert "handshaker" not in server.printed()
    assert os.readlink(f"/proc/{server.launcher_pid}/fd/2") == str(server.output)


def test_the_last_words_of_a_server_that_crashes_are_not_lost(server: Server) -> None:
    """What a C library says before it ends the process is in the server's log, read or not by the process itself."""
    job = server.client().start(JobSpec(("sleep", "1000")))
    run = record.read_run(server.data_dir / "runs", job.id)
    assert run is not None
    for pid in (run.monitor_pid, job.pid):
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            # A monitor that is just writing something down closes it again.
            with contextlib.suppress(FileNotFoundError):
                assert not os.readlink(fd).startswith("pipe:"), "the pipe is nobody else's"
    os.kill(server.pid, signal.SIGSTOP)
    Path(f"/proc/{server.pid}/fd/2").write_bytes(b"free(): invalid pointer\n")
    server.kill()
    wait_until(lambda: "free(): invalid pointer\n" in server.printed(), DEADLINE, "the message")


def test_what_is_read_again_is_in_the_trail(certs: Path, tmp_path: Path) -> None:
    """A policy that was read again, and a file of certificates that is wrong, have lines that say so."""
    copy = shutil.copytree(certs, tmp_path / "certs")
    with Server(tmp_path / "own", copy) as own:
        os.kill(own.pid, signal.SIGHUP)
        (copy / "client-ca.crt").write_text("nothing")

        def reloads() -> dict[str, dict[str, Any]]:
            return {line["event"]: line for line in trail(own) if line["event"].endswith("_reload")}

        wait_until(lambda: len(reloads()) == 2, DEADLINE, "both lines")
        policy, certificates = reloads()["policy_reload"], reloads()["certificates_reload"]
        assert (policy["policy"], policy["reason"]) == (trail(own)[0]["policy"], "")
        assert certificates["file"] == "client-ca.crt"
        assert str(copy) in certificates["reason"]


def test_verify_says_what_is_wrong(server: Server, tmp_path: Path) -> None:
    """`jsched audit verify` exits with 1 and names the line; anchors from the server's log find a cut end."""
    client = server.client()
    for _ in range(5):
        client.list()
    assert server.terminate() == 0
    path = server.data_dir / "audit.jsonl"
    good = audit_verify(server.data_dir)
    assert (good.returncode, good.stderr) == (0, "")
    assert "ok       the chain is whole" in good.stdout
    lines = path.read_bytes().splitlines(keepends=True)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(b"".join(lines).replace(b'"seq":3,', b'"seq":3, '))
    bad = audit_verify(copy)
    assert bad.returncode == 1
    assert "WRONG    copy.jsonl line 3 was changed" in bad.stdout
    copy.write_bytes(b"".join(lines[:-2]))
    assert audit_verify(copy).returncode == 0
    cut = audit_verify(copy, "--anchors=-", stdin=server.printed())
    assert cut.returncode == 1
    assert f"the end was cut off: the last line has the number {len(lines) - 2}" in cut.stdout
    assert audit_verify(copy, f"--expect={len(lines)}:{chain.digest(lines[-1])}").returncode == 1
    assert audit_verify(path, f"--expect={len(lines)}:{chain.digest(lines[-1])}").returncode == 0
    # The anchor beside the trail finds what careless hands have cut off.
    path.write_bytes(b"".join(lines[:-1]))
    assert audit_verify(server.data_dir).returncode == 1
    path.write_bytes(b"".join(lines))
    mixed = audit_verify(path, server.data_dir)
    assert (mixed.returncode, mixed.stdout) == (2, "")
    assert f"{server.data_dir} is a directory: give it alone, or files alone" in mixed.stderr
    nothing = audit_verify(tmp_path)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith("Error: there is no audit trail in")
    assert json.loads(lines[0])["prev"] == chain.ORIGIN.hash
    assert Trail(path).anchor() == chain.Link(len(lines), chain.digest(lines[-1]))
