"""A policy that is read again while a server runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from jsched.client import Client
from jsched.errors import PermissionDenied, ResourceExhausted, Unauthenticated
from jsched.job import JobSpec
from jsched.state import JobState
from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.governed import Governed
from tests.helpers.wait import wait_until

RELOADS = 15
LONG = JobSpec(["sleep", "1000"])
EVERYBODY = '[roles.user]\nverbs = "any"\n'
ONE_S_OWN = '[roles.user]\nverbs = "own"\n'
NOBODY = '[roles.guest]\nverbs = "any"\n'


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    found = Governed(tmp_path_factory.mktemp("governed"), [("alice", "user"), ("bob", "user")], EVERYBODY)
    try:
        found.server.start()
        yield found
    finally:
        found.server.close()


@pytest.fixture
def everybody(governed: Governed) -> Governed:
    """The server, on which everybody may do everything."""
    governed.read_again(EVERYBODY)
    return governed


@pytest.fixture
def job(everybody: Governed) -> Iterator[str]:
    """A job of bob's that runs until the test's end."""
    bob = everybody.server.client("bob")
    started = bob.start(LONG)
    yield started.id
    everybody.read_again(EVERYBODY)
    bob.stop(started.id, grace=0)


def test_a_change_holds_for_the_next_call(governed: Governed, job: str) -> None:
    """After SIGHUP the new policy decides: another's job, seen a moment before, never was."""
    alice = governed.server.client("alice")
    assert alice.get(job).owner == "bob"
    governed.read_again(ONE_S_OWN)
    stub = calls.stub(alice._channel)
    unseen = calls.refused(stub.GetJob, pb.GetJobRequest(job_id=job))
    unknown = calls.refused(stub.GetJob, pb.GetJobRequest(job_id="0" * len(job)))
    assert unseen.code is grpc.StatusCode.NOT_FOUND
    assert repr(unseen).replace(job, "0" * len(job)) == repr(unknown)
    governed.read_again(NOBODY)
    with pytest.raises(PermissionDenied, match="role user may not see the status of jobs"):
        alice.get(job)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[roles.user.verbs]\nstart = "own"\nstrat = "own"\n', "policy.toml:3: unknown verb 'strat'"),
        ("[roles.user", "policy.toml:1: not TOML"),
        ("", ""),
    ],
)
def test_what_is_wrong_changes_nothing(everybody: Governed, text: str, complaint: str) -> None:
    """A file that is wrong, or gone, leaves the policy as it was, and the log says what is wrong on which line."""
    alice = everybody.server.client("alice")
    if text:
        everybody.read_again(text)
        assert f"the policy stays as it was: policy {everybody.path.parent}" in _plain(everybody.server.printed())
        assert complaint in everybody.server.printed()
    else:
        before = everybody.server.printed().count("the policy stays as it was")
        everybody.path.unlink()
        os.kill(everybody.server.pid, signal.SIGHUP)
        wait_until(lambda: everybody.server.printed().count("the policy stays as it was") > before, 20, "a complaint")
    assert alice.wait(alice.start(JobSpec(["true"])).id).state is JobState.COMPLETED


def _plain(text: str) -> str:
    return text.replace("/server/../", "/")


def test_streams_and_waits_end_when_the_policy_says_so(governed: Governed, job: str) -> None:
    """Who follows another's job, or waits for it, is told that it may not any more; its owner goes on."""
    with calls.channel(governed.server, "alice") as hers, calls.channel(governed.server, "bob") as his:
        stubs = [calls.stub(channel) for channel in (hers, his)]
        streams = [stub.StreamOutput(pb.StreamOutputRequest(job_id=job, follow=True)) for stub in stubs]
        waits = [stub.WaitJob.future(pb.WaitJobRequest(job_id=job)) for stub in stubs]
        for stream in streams:
            # So that the call has begun.
            stream.initial_metadata()
        stubs[0].GetJob(pb.GetJobRequest(job_id=job), timeout=calls.DEADLINE)
        governed.read_again(ONE_S_OWN)
        # The wait may have come in only after the change, and then the job never was.
        assert streams[0].code() is grpc.StatusCode.PERMISSION_DENIED
        assert streams[0].details() == "role user may not stream what is another's"
        assert waits[0].code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND)
        assert waits[1].running()
        assert streams[1].is_active()
        for call in (streams[1], waits[1]):
            call.cancel()


def test_a_role_that_stands_elsewhere(governed: Governed, job: str) -> None:
    """If roles come from the organizational unit from now on, who has none is nobody, on open connections too."""
    alice = governed.server.client("alice")
    with calls.channel(governed.server, "alice") as channel:
        stream = calls.stub(channel).StreamOutput(pb.StreamOutputRequest(job_id=job, follow=True))
        stream.initial_metadata()
        governed.read_again(f'[identity]\nrole_from = "ou"\n{EVERYBODY}')
        assert stream.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(Unauthenticated):
            alice.get(job)


def test_how_much_at_once(everybody: Governed) -> None:
    """A user has so many jobs and streams at once as the policy says, and others have theirs."""
    everybody.read_again(f"{EVERYBODY}max_jobs = 2\nmax_streams = 1\n")
    alice, bob = everybody.server.client("alice"), everybody.server.client("bob")
    jobs = [alice.start(LONG).id for _ in range(2)]
    with pytest.raises(ResourceExhausted, match="max_jobs is 2"):
        alice.start(LONG)
    jobs.append(bob.start(LONG).id)
    with calls.channel(everybody.server, "alice") as channel:
        stub = calls.stub(channel)
        first = stub.StreamOutput(pb.StreamOutputRequest(job_id=jobs[0], follow=True))
        first.initial_metadata()
        refusal = calls.refused(stub.WaitJob, pb.WaitJobRequest(job_id=jobs[0]))
        assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "max_streams" in refusal.message
        first.cancel()
    for job_id in jobs:
        bob.stop(job_id, grace=0)
    alice.wait(alice.start(JobSpec(["true"])).id)


def test_no_call_of_a_good_client_fails(everybody: Governed) -> None:
    """While the policy is read again and again, good and bad by turns, a client that it allows notices nothing."""
    enough = threading.Event()
    failures: list[BaseException] = []
    counts = {"get": 0, "list": 0, "run": 0}

    def go_on(name: str, call: Callable[[Client], Any]) -> None:
        client = everybody.server.client("alice")
        while not enough.is_set():
            try:
                call(client)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the failure that is looked for
                failures.append(error)
                return
            counts[name] += 1

    running = everybody.server.client("alice").start(LONG)
    ways: dict[str, Callable[[Client], Any]] = {
        "get": lambda client: client.get(running.id),
        "list": lambda client: client.list(),
        "run": lambda client: client.wait(client.start(JobSpec(["true"])).id),
    }
    threads = [threading.Thread(target=go_on, args=way) for way in ways.items()]
    with calls.channel(everybody.server, "alice") as channel:
        stream = calls.stub(channel).StreamOutput(pb.StreamOutputRequest(job_id=running.id, follow=True))
        stream.initial_metadata()
        for thread in threads:
            thread.start()
        try:
            for turn in range(RELOADS):
                everybody.read_again((EVERYBODY, ONE_S_OWN, "[wrong")[turn % 3])
            wait_until(
                lambda: failures or all(counts.get(name, 0) > RELOADS for name in ways), 60, "calls of each kind"
            )
        finally:
            enough.set()
            for thread in threads:
                thread.join()
        assert not failures
        assert stream.is_active()
        stream.cancel()
    everybody.server.client("alice").stop(running.id, grace=0)
