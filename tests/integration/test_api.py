"""What the calls of JobService do when nothing is wrong with them."""

from __future__ import annotations

import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from jsched.certificates import Issued
from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.calls import DEADLINE, refused, whole
from tests.helpers.certificates import make_odd_client
from tests.helpers.feed import Feed
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(60)

LARGE = 20_000_000


def start(stub: Any, *argv: str, **fields: Any) -> Any:
    """Start a job and return it."""
    return stub.StartJob(pb.StartJobRequest(argv=argv, **fields), timeout=DEADLINE).job


def get(stub: Any, ref: str) -> Any:
    """Return a job."""
    return stub.GetJob(pb.GetJobRequest(job_id=ref), timeout=DEADLINE).job


def wait(stub: Any, ref: str) -> Any:
    """Return a job once it has ended."""
    return stub.WaitJob(pb.WaitJobRequest(job_id=ref), timeout=DEADLINE).job


def stop(stub: Any, ref: str) -> Any:
    """Stop a job."""
    return stub.StopJob(pb.StopJobRequest(job_id=ref), timeout=DEADLINE)


def list_ids(stub: Any, **fields: Any) -> list[str]:
    """Return the ids of one page."""
    return [job.job_id for job in stub.ListJobs(pb.ListJobsRequest(**fields), timeout=DEADLINE).jobs]


def stream(stub: Any, job_id: str) -> Any:
    """Follow a job from its start."""
    return stub.StreamOutput(pb.StreamOutputRequest(job_id=job_id, follow=True), timeout=DEADLINE)


def test_a_job_from_start_to_end(shared_server: Server, stub: Any) -> None:
    """A job shows what it was asked to be from its start on, and its outcome, times and usage at its end."""
    fields: dict[str, Any] = {
        "env": {"SECRET": "s3cret", "A": ""},
        "workdir": "/tmp",
        "name": f"whole-{uuid.uuid4()}",
        "labels": {"team": "x"},
        "timeout": Duration(seconds=30, nanos=500_000_000),
        "grace": Duration(),
    }
    argv = ["sh", "-c", "exit 3", "ä", ""]
    before = time.time()
    started = start(stub, *argv, **fields)
    job = wait(stub, started.job_id)
    for shown in (started, job):
        assert uuid.UUID(shown.job_id).version == 4
        assert list(shown.argv) == argv
        assert (shown.name, dict(shown.labels)) == (fields["name"], fields["labels"])
        assert (shown.owner, shown.workdir) == ("admin", "/tmp")
        assert (shown.timeout, shown.grace) == (fields["timeout"], fields["grace"])
        assert list(shown.env_names) == ["A", "SECRET"]
        assert "s3cret" not in str(shown)
        assert shown.log_path == str(shared_server.log_dir / f"{shown.job_id}.log")
        assert shown.pid > 0
    assert (job.state, job.exit_code, job.WhichOneof("outcome")) == (pb.JOB_STATE_COMPLETED, 3, "exit_code")
    assert (job.forced, job.stopped_by, job.reason) == (False, "", pb.TERMINATION_REASON_UNSPECIFIED)
    times = [moment.ToNanoseconds() / 1e9 for moment in (job.created_at, job.started_at, job.ended_at)]
    assert before - 0.01 <= times[0] <= times[1] <= times[2] <= time.time() + 0.01
    assert job.HasField("usage")
    assert job.usage.max_rss > 100_000
    assert get(stub, job.job_id) == job


def test_start_answers_when_the_command_runs(stub: Any) -> None:
    """The answer to a start is a running job, whose process is the command already."""
    job = start(stub, "sleep", "1000")
    assert job.state == pb.JOB_STATE_RUNNING
    # The start is answered in the middle of exec, and the arguments are among the last things to be there.
    arguments = wait_until(Path(f"/proc/{job.pid}/cmdline").read_bytes, DEADLINE, "the command's arguments")
    assert arguments == b"sleep\x001000\x00"
    assert job.WhichOneof("outcome") is None
    assert not job.HasField("ended_at")
    stop(stub, job.job_id)


def test_same_request_id(stub: Any) -> None:
    """The same request id gives the same job, while it runs and after it has ended, and starts nothing again."""
    label = {"request": str(uuid.uuid4())}
    request_id = str(uuid.uuid4())
    first = start(stub, "echo", "once", labels=label, request_id=request_id)
    second = start(stub, "echo", "once", labels=label, request_id=request_id)
    ended = wait(stub, first.job_id)
    third = start(stub, "echo", "once", labels=label, request_id=request_id)
    assert first.job_id == second.job_id
    assert third == ended
    assert list_ids(stub, labels=label) == [first.job_id]
    assert Path(first.log_path).read_bytes() == b"once\n"


def test_same_request_id_at_once(shared_server: Server, stub: Any) -> None:
    """Twenty starts with one request id, on several connections at once, are one job."""
    label = {"request": str(uuid.uuid4())}
    request = pb.StartJobRequest(argv=["echo", "once"], labels=label, request_id="x" * 120 + str(uuid.uuid4())[:8])
    channels = [calls.channel(shared_server) for _ in range(4)]
    with ThreadPoolExecutor(20) as threads:
        stubs = [calls.stub(channel) for channel in channels]
        answers = list(threads.map(lambda n: stubs[n % 4].StartJob(request, timeout=DEADLINE), range(20)))
    for channel in channels:
        channel.close()
    assert len({answer.job_id for answer in answers}) == 1
    assert all(answer.job.pid == answers[0].job.pid > 0 for answer in answers)
    assert list_ids(stub, labels=label) == [answers[0].job_id]
    wait(stub, answers[0].job_id)
    assert Path(answers[0].job.log_path).read_bytes() == b"once\n"


@pytest.mark.parametrize(
    "other",
    [
        {"argv": ["echo", "b"]},
        {"env": {"A": "2"}},
        {"workdir": "/"},
        {"name": "other"},
        {"labels": {"a": "b"}},
        {"timeout": Duration(seconds=9)},
        {"grace": Duration(seconds=9)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_request_id_with_another_spec(stub: Any, other: dict[str, Any]) -> None:
    """A request id that comes with another spec is ALREADY_EXISTS and names the job that it started."""
    fields = {"argv": ["echo", "a"], "request_id": str(uuid.uuid4())}
    first = stub.StartJob(pb.StartJobRequest(**fields), timeout=DEADLINE)  # type: ignore[arg-type]
    refusal = refused(stub.StartJob, pb.StartJobRequest(**(fields | other)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert refusal.metadata["object"] == first.job_id


def test_request_id_of_a_failed_start(stub: Any) -> None:
    """A start that failed fails again for the same reason with the same request id, and is one job."""
    label = {"request": str(uuid.uuid4())}
    request = pb.StartJobRequest(argv=["/nonexistent"], labels=label, request_id=str(uuid.uuid4()))
    first = refused(stub.StartJob, request)
    again = refused(stub.StartJob, request)
    assert (again.code, again.reason) == (first.code, first.reason)
    for name in ("step", "errno", "job_id"):
        assert again.metadata[name] == first.metadata[name]
    assert "exec: No such file or directory" in again.message
    assert list_ids(stub, labels=label) == [first.metadata["job_id"]]


def test_request_ids_of_two_users(shared_server: Server, stub: Any) -> None:
    """A request id is its user's own: another user's same id is another job."""
    request = pb.StartJobRequest(argv=["true"], request_id=str(uuid.uuid4()))
    with calls.channel(shared_server, "user") as channel:
        theirs = calls.stub(channel).StartJob(request, timeout=DEADLINE)
    ours = stub.StartJob(request, timeout=DEADLINE)
    assert ours.job_id != theirs.job_id
    assert (ours.job.owner, theirs.job.owner) == ("admin", "user")


def test_references(stub: Any) -> None:
    """A job is found by its id in either case, by a prefix of 8 digits and more, and by its name."""
    job = start(stub, "true", name=f"ref-{uuid.uuid4()}")
    job = wait(stub, job.job_id)
    for ref in (job.job_id.upper(), job.job_id[:8], job.job_id[:9], job.job_id[:-1], job.name):
        assert get(stub, ref) == job
        assert wait(stub, ref) == job
        assert stop(stub, ref).job == job
        assert whole(stream(stub, ref)) == (b"", job)


def test_prefix_that_is_too_short(stub: Any) -> None:
    """Seven digits of an id are not enough."""
    job = start(stub, "true")
    assert refused(stub.GetJob, pb.GetJobRequest(job_id=job.job_id[:7])).code is grpc.StatusCode.NOT_FOUND


def test_name_means_the_newest(stub: Any) -> None:
    """A name means the newest job with it."""
    name = f"again-{uuid.uuid4()}"
    for _ in range(3):
        job = start(stub, "true", name=name)
        assert wait(stub, name).job_id == job.job_id


def test_list_filters(shared_server: Server, stub: Any) -> None:
    """A list has the jobs that fit all filters, newest first, and no other."""
    run = str(uuid.uuid4())
    name = f"list-{run}"
    runs = start(stub, "sleep", "1000", labels={"run": run}).job_id
    ended = start(stub, "true", labels={"run": run, "extra": "1"}, name=name).job_id
    wait(stub, ended)
    failed = refused(stub.StartJob, pb.StartJobRequest(argv=["/nonexistent"], labels={"run": run})).metadata["job_id"]
    with calls.channel(shared_server, "user") as channel:
        theirs = start(calls.stub(channel), "true", labels={"run": run}).job_id
    wait(stub, theirs)
    label = {"run": run}
    assert list_ids(stub, labels=label) == [theirs, failed, ended, runs]
    assert list_ids(stub, labels=label, states=[pb.JOB_STATE_RUNNING]) == [runs]
    assert list_ids(stub, labels=label, states=[pb.JOB_STATE_FAILED, pb.JOB_STATE_RUNNING]) == [failed, runs]
    assert list_ids(stub, labels=label, states=[pb.JOB_STATE_UNKNOWN]) == []
    assert list_ids(stub, labels=label, owner="user") == [theirs]
    assert list_ids(stub, labels={**label, "extra": "1"}) == [ended]
    assert list_ids(stub, labels={**label, "extra": "2"}) == []
    assert list_ids(stub, name=name) == [ended]
    assert list_ids(stub, name=name, owner="user") == []
    stop(stub, runs)


def test_pages(stub: Any) -> None:
    """Pages follow each other without gap or repeat, also while jobs are started; a token fits its filters only."""
    label = {"pages": str(uuid.uuid4())}
    started = [start(stub, "true", labels=label).job_id for _ in range(7)]
    seen: list[str] = []
    request = pb.ListJobsRequest(labels=label, page_size=3)
    for expected in (3, 3, 1):
        page = stub.ListJobs(request, timeout=DEADLINE)
        assert len(page.jobs) == expected
        seen += [job.job_id for job in page.jobs]
        request.page_token = page.next_page_token
        start(stub, "true", labels=label)
    assert seen == started[::-1]
    assert page.next_page_token == ""
    token = stub.ListJobs(pb.ListJobsRequest(labels=label, page_size=3), timeout=DEADLINE).next_page_token
    for request in (pb.ListJobsRequest(), pb.ListJobsRequest(labels=label, owner="admin")):
        request.page_token = token
        assert refused(stub.ListJobs, request).code is grpc.StatusCode.INVALID_ARGUMENT
    exact = stub.ListJobs(pb.ListJobsRequest(labels=label, page_size=10), timeout=DEADLINE)
    assert (len(exact.jobs), exact.next_page_token) == (10, "")


def test_wait(stub: Any, feed: Feed) -> None:
    """A wait answers when the job has ended, not before; many may wait, and an ended job is no wait."""
    job = start(stub, *feed.argv)
    request = pb.WaitJobRequest(job_id=job.job_id)
    waiting = [stub.WaitJob.future(request, timeout=DEADLINE) for _ in range(5)]
    feed.write(b"x")
    assert next(stream(stub, job.job_id)).data == b"x"
    assert get(stub, job.job_id).state == pb.JOB_STATE_RUNNING
    assert not any(call.done() for call in waiting)
    feed.end()
    ended = [call.result(DEADLINE).job for call in waiting]
    assert all(answer == ended[0] == wait(stub, job.job_id) for answer in ended)
    assert (ended[0].state, ended[0].exit_code) == (pb.JOB_STATE_COMPLETED, 0)


def test_wait_that_is_given_up(stub: Any) -> None:
    """A wait whose deadline passes ends with DEADLINE_EXCEEDED, and the job runs on."""
    job = start(stub, "sleep", "1000")
    error = calls.failed(stub.WaitJob, pb.WaitJobRequest(job_id=job.job_id), timeout=0.2)
    assert isinstance(error, grpc.Call)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert get(stub, job.job_id).state == pb.JOB_STATE_RUNNING
    stop(stub, job.job_id)


def test_delete(shared_server: Server, stub: Any) -> None:
    """A delete removes the job and its log file, and nothing of it is found again."""
    job = start(stub, "echo", "gone", name=f"gone-{uuid.uuid4()}")
    wait(stub, job.job_id)
    assert stub.DeleteJob(pb.DeleteJobRequest(job_id=job.job_id[:8]), timeout=DEADLINE).job_id == job.job_id
    assert not Path(job.log_path).exists()
    for ref in (job.job_id, job.job_id[:8], job.name):
        assert refused(stub.GetJob, pb.GetJobRequest(job_id=ref)).code is grpc.StatusCode.NOT_FOUND
        assert refused(stub.DeleteJob, pb.DeleteJobRequest(job_id=ref)).code is grpc.StatusCode.NOT_FOUND
    assert job.job_id not in list_ids(stub)
    assert job.job_id not in shared_server.job_ids()


def test_delete_of_a_failed_start(stub: Any) -> None:
    """A job that could not be started can be deleted like any other."""
    job_id = refused(stub.StartJob, pb.StartJobRequest(argv=["/nonexistent"])).metadata["job_id"]
    path = Path(get(stub, job_id).log_path)
    assert path.exists()
    stub.DeleteJob(pb.DeleteJobRequest(job_id=job_id), timeout=DEADLINE)
    assert not path.exists()


def test_delete_while_a_follower_reads(stub: Any) -> None:
    """Followers in the middle of a log that is deleted go on to its end, and learn the outcome.

    One began when the job ran, one when it had ended.
    """
    early_argv = ("sh", "-c", f"head -c {LARGE} /dev/zero; exit 7")
    job = start(stub, *early_argv)
    early = stream(stub, job.job_id)
    first = [next(early)]
    ended = wait(stub, job.job_id)
    late = stream(stub, job.job_id)
    second = [next(late)]
    stub.DeleteJob(pb.DeleteJobRequest(job_id=job.job_id), timeout=DEADLINE)
    assert not Path(job.log_path).exists()
    for begun, messages in ((first, early), (second, late)):
        assert whole([*begun, *messages]) == (bytes(LARGE), ended)


def test_time_limit(stub: Any) -> None:
    """A job that runs into its time limit gets SIGTERM, and is TERMINATED with that reason."""
    job = wait(stub, start(stub, "sleep", "1000", timeout=Duration(nanos=100_000_000)).job_id)
    assert (job.state, job.reason) == (pb.JOB_STATE_TERMINATED, pb.TERMINATION_REASON_TIME_LIMIT)
    assert (job.signal, job.forced, job.stopped_by) == (signal.SIGTERM, False, "")


def test_time_limit_of_a_deaf_job(stub: Any) -> None:
    """A job that ignores SIGTERM at its time limit is killed when the grace is over."""
    limits = {"timeout": Duration(nanos=200_000_000), "grace": Duration(nanos=100_000_000)}
    job = wait(stub, start(stub, "sh", "-c", "trap '' TERM; while :; do sleep 1000; done", **limits).job_id)
    assert (job.state, job.reason) == (pb.JOB_STATE_TERMINATED, pb.TERMINATION_REASON_TIME_LIMIT)
    assert (job.signal, job.forced) == (signal.SIGKILL, True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGRTMIN])
def test_killed_from_outside(stub: Any, number: int) -> None:
    """A job that somebody else kills is TERMINATED by that signal; jsched has forced nothing."""
    job = start(stub, "sleep", "1000")
    os.kill(job.pid, number)
    ended = wait(stub, job.job_id)
    assert (ended.state, ended.reason) == (pb.JOB_STATE_TERMINATED, pb.TERMINATION_REASON_SIGNAL)
    assert (ended.signal, ended.WhichOneof("outcome")) == (number, "signal")
    assert (ended.forced, ended.stopped_by) == (False, "")


def test_health_needs_no_role(shared_server: Server) -> None:
    """Health answers SERVING to a client certificate without a role, which may do nothing else."""
    certs = shared_server.certs
    ca_key = serialization.load_pem_private_key((certs / "client-ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    ca = Issued(x509.load_pem_x509_certificate((certs / "client-ca.crt").read_bytes()), ca_key)
    nobody = make_odd_client(ca, roles=())
    server_ca = (certs / "server-ca.crt").read_bytes()
    credentials = grpc.ssl_channel_credentials(server_ca, nobody.key_pem, nobody.certificate_pem)
    with grpc.secure_channel(shared_server.address, credentials) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "jsched.v1.JobService", "jsched.v1.RootfsService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        refusal = refused(calls.stub(channel).ListJobs, pb.ListJobsRequest())
        assert refusal.code is grpc.StatusCode.UNAUTHENTICATED


def test_reflection_lists_the_services(shared_server: Server) -> None:
    """Reflection lists JobService, RootfsService, health and itself."""
    with calls.channel(shared_server) as channel:
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = reflection.ServerReflectionInfo(iter([ask]), timeout=DEADLINE)
        services = {service.name for service in next(answers).list_services_response.service}
    own = {"jsched.v1.JobService", "jsched.v1.RootfsService"}
    assert services == own | {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


def test_pages_of_large_jobs(shared_server: Server, stub: Any) -> None:
    """A page of jobs with long arguments fits into the 4 MiB that a gRPC client accepts if it is not told otherwise."""
    label = {"large": str(uuid.uuid4())}
    argv = ["true", *["x" * 120_000] * 12]
    started = [start(stub, *argv, labels=label).job_id for _ in range(5)]
    settings = calls.config(shared_server)
    files = (Path(path).read_bytes() for path in (settings.ca, settings.key, settings.cert))
    with grpc.secure_channel(shared_server.address, grpc.ssl_channel_credentials(*files)) as channel:
        plain = calls.stub(channel)
        seen: list[str] = []
        request = pb.ListJobsRequest(labels=label)
        while len(seen) < len(started):
            page = plain.ListJobs(request, timeout=DEADLINE)
            assert page.jobs
            seen += [job.job_id for job in page.jobs]
            assert bool(page.next_page_token) == (len(seen) < len(started))
            request.page_token = page.next_page_token
    assert seen == started[::-1]
