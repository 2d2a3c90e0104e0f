from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from jsched.v1 import jobs_pb2 as pb
from jsched.v1 import jobs_pb2_grpc
from tests.helpers.guarded_server import GuardedServer
from tests.helpers.realm import Realm, error_info, stub


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Realm:
    return Realm(tmp_path_factory.mktemp("realm"))


@pytest.fixture
def server(realm: Realm, tmp_path: Path) -> Iterator[GuardedServer]:
    with GuardedServer(realm.certs_dir, tmp_path / "audit.jsonl") as server:
        yield server


@pytest.fixture
def channel(realm: Realm, server: GuardedServer) -> Iterator[grpc.Channel]:
    with realm.channel(server, realm.client()) as channel:
        yield channel


@pytest.fixture
def jobs(channel: grpc.Channel) -> jobs_pb2_grpc.JobServiceStub:
    return stub(channel)


def audited(server: GuardedServer, count: int) -> list[dict[str, Any]]:
    """The audit's lines, once there are as many."""
    deadline = time.monotonic() + 30
    while len(lines := server.audit) < count:
        assert time.monotonic() < deadline, f"{len(lines)} audit lines, not {count}"
        time.sleep(0.01)
    assert len(lines) == count
    return lines


def refused(call: Callable[[], Any]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def test_an_allowed_call_is_served_and_audited(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A handler sees who calls; the line is in the audit when the answer arrives, with the job that it named."""
    job = jobs.GetJob(pb.GetJobRequest(job_id="j1")).job
    assert (job.owner, job.name) == ("alice", "user")
    (line,) = server.audit
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line.pop("peer").startswith("ipv4:127.0.0.1:")
    assert int(line.pop("serial"), 16) > 0
    assert line.pop("duration_ms") > 0
    assert line == {
        "seq": 1,
        "prev": "0" * 64,
        "event": "call",
        "user": "alice",
        "role": "user",
        "verb": "status",
        "method": "/jsched.v1.JobService/GetJob",
        "job": "j1",
        "rootfs": "",
        "decision": "allow",
        "rule": "role user has verb status",
        "status": "OK",
        "reason": "",
    }


def test_a_refused_call_reaches_no_handler(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A call that the role may not make is PERMISSION_DENIED, audited with the rule, and never served."""
    error = refused(lambda: jobs.StopJob(pb.StopJobRequest(job_id="j1")))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert error.details() == "role user may not stop"
    info = error_info(error)
    assert (info.reason, info.domain) == ("PERMISSION_DENIED", "jsched")
    assert "administrator" in info.metadata["hint"]
    (line,) = server.audit
    assert (line["decision"], line["status"]) == ("deny", "PERMISSION_DENIED")
    assert line["rule"] == "role user has no verb stop"
    assert server.reached == []


def test_an_error_keeps_its_details(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """An error of the domain reaches the client with its kind, object, hint, step, errno and job."""
    error = refused(lambda: jobs.GetJob(pb.GetJobRequest(job_id="missing")))
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such job: missing")
    assert dict(error_info(error).metadata) == {"object": "missing", "hint": "jsched-cli list -a shows all jobs"}
    error = refused(lambda: jobs.GetJob(pb.GetJobRequest(job_id="unstartable")))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    info = error_info(error)
    assert info.reason == "START_FAILED"
    assert dict(info.metadata) == {"object": "argv", "step": "exec", "errno": "2", "job_id": "j1"}
    assert [(line["decision"], line["status"], line["reason"]) for line in server.audit] == [
        ("allow", "NOT_FOUND", "no such job: missing"),
        ("allow", "INVALID_ARGUMENT", "exec: No such file or directory"),
    ]


def test_an_error_that_quotes_too_much_still_arrives(jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A message with broken Unicode and of any length is cut to what fits, and keeps its code."""
    error = refused(lambda: jobs.GetJob(pb.GetJobRequest(job_id="quoting")))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    details = error.details()
    assert details is not None
    assert details.startswith("no such job: ")
    assert details.endswith("...")
    assert error_info(error).metadata["hint"].endswith("x...")


def test_a_defect_tells_the_client_a_number_alone(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """An unexpected exception is INTERNAL with an incident's number; its text is in the server's log only."""
    error = refused(lambda: jobs.GetJob(pb.GetJobRequest(job_id="defect")))
    assert error.code() is grpc.StatusCode.INTERNAL
    number = error_info(error).metadata["incident"]
    assert error.details() == f"internal error, incident {number}"
    assert "secret" not in str(error)
    assert f"incident {number}" in server.log
    assert "RuntimeError: a secret of the server" in server.log
    assert server.audit[0]["reason"] == f"internal error, incident {number}"


def test_a_handler_that_cancels_itself_still_answers(jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A cancellation that the client did not ask for is a defect, not a call that hangs."""
    error = refused(lambda: jobs.GetJob(pb.GetJobRequest(job_id="cancelled"), timeout=20))
    assert error.code() is grpc.StatusCode.INTERNAL


def test_a_request_that_is_too_big_is_refused(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A request over the limit of a message is RESOURCE_EXHAUSTED and reaches no handler."""
    error = refused(lambda: jobs.StartJob(pb.StartJobRequest(argv=["x" * 5_000_000]), timeout=20))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.reached == []


def test_a_handler_that_answers_by_itself_is_audited(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A handler's own abort reaches the client unchanged and the audit with its code."""
    error = refused(lambda: jobs.GetJob(pb.GetJobRequest(job_id="aborting")))
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "by itself")
    assert audited(server, 1)[0]["status"] == "DATA_LOSS"


def test_a_request_that_is_no_message_is_refused(server: GuardedServer, channel: grpc.Channel) -> None:
    """Bytes that are not the method's request are INVALID_ARGUMENT, audited, and reach no handler."""
    call: Any = channel.unary_unary("/jsched.v1.JobService/GetJob")
    error = refused(lambda: call(b"\xff\xff\xff"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert server.audit[0]["status"] == "INVALID_ARGUMENT"
    assert server.reached == []


def test_a_request_is_decoded_only_for_those_who_may_send_it(server: GuardedServer, channel: grpc.Channel) -> None:
    """Of a method that the caller may not call, not even the request is looked at."""
    call: Any = channel.unary_unary("/jsched.v1.JobService/StopJob")
    assert refused(lambda: call(b"\xff\xff\xff")).code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_stream_is_audited_when_it_ends(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A stream's messages go through as the handler made them, and its last line says how it ended."""
    messages = list(jobs.StreamOutput(pb.StreamOutputRequest(job_id="j1")))
    assert [(message.offset, message.data) for message in messages] == [(0, b"x"), (1, b"x")]
    error = refused(lambda: list(jobs.StreamOutput(pb.StreamOutputRequest(job_id="broken"))))
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "broken in the middle")
    assert [(line["status"], line["job"]) for line in server.audit] == [("OK", "j1"), ("FAILED_PRECONDITION", "broken")]


def test_a_stream_is_audited_before_its_first_message(
    server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub
) -> None:
    """When a stream's first message arrives a line says that it is open; its last line names that one."""
    stream = jobs.StreamOutput(pb.StreamOutputRequest(job_id="j1", follow=True))
    next(stream)
    (opened,) = server.trail
    assert (opened["event"], opened["job"], opened["decision"], opened["status"]) == ("open", "j1", "allow", "")
    stream.cancel()
    (ended,) = audited(server, 1)
    assert (ended["event"], ended["opened_seq"], ended["status"]) == ("end", opened["seq"], "CANCELLED")


def test_a_stream_that_never_began_has_one_line(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A stream that is refused before its first message is one call, not one that was open."""
    refused(lambda: list(jobs.StreamOutput(pb.StreamOutputRequest(job_id="broken"))))
    server.ask("drain")
    refused(lambda: list(jobs.StreamOutput(pb.StreamOutputRequest(job_id="j1"))))
    assert [line["event"] for line in server.trail] == ["open", "end", "call"]


def test_cancelled_calls_are_audited_as_cancelled(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A stream that the client cancels and a call that runs out of its time are CANCELLED in the audit."""
    stream = jobs.StreamOutput(pb.StreamOutputRequest(job_id="j1", follow=True))
    assert next(stream).offset == 0
    stream.cancel()
    assert audited(server, 1)[0]["status"] == "CANCELLED"
    error = refused(lambda: jobs.WaitJob(pb.WaitJobRequest(job_id="j1"), timeout=1.5))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    line = audited(server, 2)[1]
    assert line["status"] == "CANCELLED"
    assert line["duration_ms"] > 200
    assert "Traceback" not in server.log


def test_a_method_in_no_table_is_denied(realm: Realm, server: GuardedServer) -> None:
    """A method that is served but stands in no policy is denied even to an admin, whatever its kind."""
    with realm.channel(server, realm.client(role="admin")) as channel:
        unary: Any = channel.unary_unary("/jsched.v1.Unlisted/Unary")
        stream: Any = channel.stream_stream("/jsched.v1.Unlisted/Stream")
        for call in (lambda: unary(b""), lambda: list(stream(iter([b"x"])))):
            assert refused(call).code() is grpc.StatusCode.PERMISSION_DENIED
    assert [line["rule"] for line in server.audit] == ["the method is in no table"] * 2
    assert server.reached == []


def test_a_method_that_is_not_there_is_unimplemented(server: GuardedServer, channel: grpc.Channel) -> None:
    """A method that the server does not have is UNIMPLEMENTED for clients of every kind, and audited."""
    unary: Any = channel.unary_unary("/jsched.v1.JobService/Nothing")
    stream: Any = channel.stream_stream("/no.Such/Service")
    for call in (lambda: unary(b""), lambda: list(stream(iter([b"x"])))):
        assert refused(call).code() is grpc.StatusCode.UNIMPLEMENTED
    assert [(line["method"], line["status"], line["decision"]) for line in server.audit] == [
        ("/jsched.v1.JobService/Nothing", "UNIMPLEMENTED", "deny"),
        ("/no.Such/Service", "UNIMPLEMENTED", "deny"),
    ]


def reflect(channel: grpc.Channel) -> list[str]:
    call: Any = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    (answer,) = call(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]))
    return [service.name for service in answer.list_services_response.service]


def test_reflection_and_health_are_served(server: GuardedServer, channel: grpc.Channel) -> None:
    """Reflection (a generator of streams) and health (unary and stream) answer through the gate."""
    assert reflect(channel) == ["jsched.v1.JobService"]
    health: Any = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()
    error = refused(lambda: health.Check(health_pb2.HealthCheckRequest(service="other")))
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert sorted(line["status"] for line in audited(server, 4)) == ["CANCELLED", "NOT_FOUND", "OK", "OK"]


def test_health_needs_no_role(realm: Realm, server: GuardedServer) -> None:
    """A client with a role that is in no table sees health and nothing else."""
    with realm.channel(server, realm.client(role="probe")) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        assert refused(lambda: reflect(channel)).code() is grpc.StatusCode.PERMISSION_DENIED
        error = refused(lambda: stub(channel).GetJob(pb.GetJobRequest()))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert server.reached == []


def test_while_draining_no_new_call_is_served(server: GuardedServer, channel: grpc.Channel) -> None:
    """A server that goes down answers new calls of JobService with UNAVAILABLE; streams go on, health answers."""
    jobs = stub(channel)
    stream = jobs.StreamOutput(pb.StreamOutputRequest(job_id="j1", follow=True))
    assert next(stream).offset == 0
    assert server.ask("drain") == "ok"
    for call in (
        lambda: jobs.GetJob(pb.GetJobRequest()),
        lambda: list(jobs.StreamOutput(pb.StreamOutputRequest())),
    ):
        error = refused(call)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "shutting down" in (error.details() or "")
    assert next(stream).offset == 1
    assert refused(lambda: jobs.StopJob(pb.StopJobRequest())).code() is grpc.StatusCode.PERMISSION_DENIED
    health: Any = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    stream.cancel()


def test_what_callers_choose_can_not_break_a_line(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """Line breaks, control characters and marks of direction in what a caller sends stay inside one ASCII line."""
    name = "a\nb\r\x1b[31m\u202e\u2028\x7f\x00"
    jobs.GetJob(pb.GetJobRequest(job_id=name))
    (line,) = server.audit
    assert line["job"] == name


def test_a_line_stays_small_whatever_is_sent(server: GuardedServer, jobs: jobs_pb2_grpc.JobServiceStub) -> None:
    """A megabyte in place of a job's id does not become a megabyte of audit."""
    jobs.GetJob(pb.GetJobRequest(job_id="x" * 1_000_000))
    (line,) = server.audit
    assert len(line["job"]) == 200


def test_without_an_audit_nothing_is_done(realm: Realm, tmp_path: Path) -> None:
    """Where the audit can't be written the call fails, and from then on no handler is reached."""
    admin = realm.client("root", "admin")
    with (
        GuardedServer(realm.certs_dir, tmp_path / "audit.jsonl", full=True) as server,
        realm.channel(server, admin) as channel,
    ):
        jobs = stub(channel)
        for call in (
            lambda: jobs.GetJob(pb.GetJobRequest()),
            lambda: jobs.StartJob(pb.StartJobRequest()),
            lambda: jobs.StopJob(pb.StopJobRequest()),
            lambda: list(jobs.StreamOutput(pb.StreamOutputRequest())),
            lambda: jobs.DeleteJob(pb.DeleteJobRequest()),
        ):
            error = refused(call)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert error.details() == "the audit trail can't be written"
        assert server.reached == ["GetJob"]
        assert "no room can be set aside" in server.log


def test_a_stream_without_a_line_sends_nothing(realm: Realm, tmp_path: Path) -> None:
    """Where the line that a stream is open can't be written, no message leaves."""
    with (
        GuardedServer(realm.certs_dir, tmp_path / "audit.jsonl", full=True) as server,
        realm.channel(server, realm.client()) as channel,
    ):
        stream = stub(channel).StreamOutput(pb.StreamOutputRequest(job_id="j1", follow=True))
        error = refused(lambda: next(stream))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert server.reached == ["StreamOutput"]
