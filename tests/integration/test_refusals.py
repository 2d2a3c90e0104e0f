"""Bad requests: each is refused with the right status, one clear sentence, and details for programs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from jsched.job import Job, JobSpec
from jsched.linux import process
from jsched.state import JobState
from jsched.store import Store
from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.calls import DEADLINE, failed, refused
from tests.helpers.server import Server

pytestmark = pytest.mark.timeout(60)

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
CENTURIES = 315_576_000_000


def start(**fields: Any) -> pb.StartJobRequest:
    """Return a start that is good but for these fields."""
    return pb.StartJobRequest(**({"argv": ["true"]} | fields))


# What is wrong, the method, the request, the field that the answer names, and a part of its message.
INVALID_REQUESTS: list[tuple[str, str, Any, str, str]] = [
    ("empty argv", "StartJob", start(argv=[]), "argv", "argv is empty"),
    ("empty command", "StartJob", start(argv=["", "x"]), "argv", "argv[0] is an empty string"),
    ("NUL in the command", "StartJob", start(argv=["a\0b"]), "argv", "argv[0] contains a NUL character"),
    ("NUL in an argument", "StartJob", start(argv=["echo", "x", "a\0"]), "argv", "argv[2] contains a NUL character"),
    ("NUL in env", "StartJob", start(env={"A": "b\0"}), "env", "environment variable A contains a NUL character"),
    ("env without name", "StartJob", start(env={"": "x"}), "env", "is not a name"),
    ("env with =", "StartJob", start(env={"A=B": "x"}), "env", "'A=B' is not a name"),
    ("env of jsched", "StartJob", start(env={"JSCHED_JOB_ID": "x"}), "env", "is set by jsched itself"),
    ("relative workdir", "StartJob", start(workdir="tmp"), "workdir", "'tmp' is not an absolute path"),
    ("NUL in workdir", "StartJob", start(workdir="/\0"), "workdir", "workdir contains a NUL character"),
    ("odd name", "StartJob", start(name="a b"), "name", "name 'a b' is not"),
    ("newline in name", "StartJob", start(name="a\n"), "name", "name 'a\\n' is not"),
    ("long name", "StartJob", start(name="x" * 64), "name", "is not 1 to 63"),
    ("name like an id", "StartJob", start(name="deadbeef"), "name", "looks like a job id"),
    ("long workdir", "StartJob", start(workdir="/" + "x" * 4095), "workdir", "workdir has 4096 bytes, more than 4095"),
    (
        "long argument",
        "StartJob",
        start(argv=["a", "ä" * 65536]),
        "argv",
        "argv[1] has 131072 bytes, more than the 131071",
    ),
    (
        "long variable",
        "StartJob",
        start(env={"A": "x" * 131070}),
        "env",
        "environment variable A has 131072 bytes, more",
    ),
    (
        "many arguments",
        "StartJob",
        start(argv=["x" * 99_999] * 21),
        "argv",
        "need 2100168 bytes together, more than 2097152",
    ),
    ("many variables", "StartJob", start(env={f"A{n}": "x" * 99_999 for n in range(21)}), "env", "more than 2097152"),
    ("odd label", "StartJob", start(labels={"a b": "x"}), "labels", "label 'a b' is not"),
    ("long label", "StartJob", start(labels={"a": "x" * 257}), "labels", "longer than 256"),
    ("NUL in label", "StartJob", start(labels={"a": "\0"}), "labels", "contains a NUL character"),
    ("many labels", "StartJob", start(labels={str(n): "" for n in range(65)}), "labels", "65 labels are more than 64"),
    ("long request id", "StartJob", start(request_id="x" * 129), "request_id", "is not 1 to 128 characters"),
    ("no timeout", "StartJob", start(timeout=Duration()), "timeout", "timeout is 0 seconds"),
    ("negative timeout", "StartJob", start(timeout=Duration(seconds=-1)), "timeout", "timeout is -1"),
    ("huge timeout", "StartJob", start(timeout=Duration(seconds=CENTURIES)), "timeout", "timeout is 315576000000"),
    ("timeout past Duration", "StartJob", start(timeout=Duration(seconds=2**63 - 1)), "timeout", "not a duration"),
    ("far negative timeout", "StartJob", start(timeout=Duration(seconds=-(2**63))), "timeout", "not a duration"),
    ("nanos too many", "StartJob", start(timeout=Duration(nanos=1_000_000_000)), "timeout", "not a duration"),
    ("nanos of other sign", "StartJob", start(timeout=Duration(seconds=2, nanos=-1)), "timeout", "not a duration"),
    ("negative nanos", "StartJob", start(grace=Duration(nanos=-1)), "grace", "grace is -"),
    ("negative grace", "StartJob", start(grace=Duration(seconds=-5)), "grace", "grace is -5"),
    ("huge grace", "StartJob", start(grace=Duration(seconds=CENTURIES)), "grace", "grace is 315576000000"),
    ("negative stop", "StopJob", pb.StopJobRequest(job_id="x", grace=Duration(seconds=-1)), "grace", "grace is -1"),
    ("odd stop", "StopJob", pb.StopJobRequest(job_id="x", grace=Duration(nanos=-(2**31))), "grace", "not a duration"),
    ("negative page", "ListJobs", pb.ListJobsRequest(page_size=-1), "page_size", "page_size is -1, less than 0"),
    ("negative page", "ListJobs", pb.ListJobsRequest(page_size=-(2**31)), "page_size", "less than 0"),
    ("made-up token", "ListJobs", pb.ListJobsRequest(page_token="2"), "page_token", "is not one that this list gave"),
    ("base64 token", "ListJobs", pb.ListJobsRequest(page_token="AAAAAAAAAAAAAAAAAAAAAAAAAAA="), "page_token", "gave"),
    ("long token", "ListJobs", pb.ListJobsRequest(page_token="A" * 100_000), "page_token", "gave"),
    ("odd token", "ListJobs", pb.ListJobsRequest(page_token="ä\0\n"), "page_token", "is not one that this list gave"),
    ("undefined state", "ListJobs", pb.ListJobsRequest(states=[99]), "states", "99 is not a state of a job"),  # type: ignore[list-item]
    ("negative state", "ListJobs", pb.ListJobsRequest(states=[-1]), "states", "-1 is not a state"),  # type: ignore[list-item]
    ("no state", "ListJobs", pb.ListJobsRequest(states=[pb.JOB_STATE_UNSPECIFIED]), "states", "0 is not a state"),
    ("no id", "GetJob", pb.GetJobRequest(), "job_id", "job_id is empty"),
    ("no id", "StopJob", pb.StopJobRequest(), "job_id", "job_id is empty"),
    ("no id", "WaitJob", pb.WaitJobRequest(), "job_id", "job_id is empty"),
    ("no id", "DeleteJob", pb.DeleteJobRequest(), "job_id", "job_id is empty"),
    ("no id", "StreamOutput", pb.StreamOutputRequest(), "job_id", "job_id is empty"),
]


@pytest.mark.parametrize(
    ("method", "request_", "field", "message"),
    [case[1:] for case in INVALID_REQUESTS],
    ids=[f"{method}: {what}" for what, method, *_ in INVALID_REQUESTS],
)
def test_invalid_request(stub: Any, method: str, request_: Any, field: str, message: str) -> None:
    """A request that is wrong in itself is INVALID_ARGUMENT, and the answer names the field."""
    refusal = refused(getattr(stub, method), request_)
    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_ARGUMENT")
    assert refusal.metadata["object"] == field
    assert message in refusal.message


UNEXECUTABLE: list[tuple[str, dict[str, Any], str, int, str]] = [
    (
        "no such command",
        {"argv": ["/nonexistent"]},
        "exec",
        2,
        "cannot execute '/nonexistent': No such file or directory",
    ),
    ("not in PATH", {"argv": ["no-such-command-at-all"]}, "exec", 2, "No such file or directory"),
    ("not executable", {"argv": ["/etc/passwd"]}, "exec", 13, "cannot execute '/etc/passwd': Permission denied"),
    ("a directory", {"argv": ["/tmp"]}, "exec", 13, "cannot execute '/tmp': Permission denied"),
    ("below a file", {"argv": ["/etc/passwd/x"]}, "exec", 20, "Not a directory"),
    ("a long name", {"argv": ["/" + "x" * 300]}, "exec", 36, "File name too long"),
    # Just under what is refused at once, and the server's own variables come on top.
    ("many arguments", {"argv": ["true", *["x" * 99_853] * 21]}, "exec", 7, "Argument list too long"),
    (
        "no workdir",
        {"workdir": "/nonexistent"},
        "workdir",
        2,
        "working directory /nonexistent: No such file or directory",
    ),
    ("workdir a file", {"workdir": "/etc/passwd"}, "workdir", 20, "working directory /etc/passwd: Not a directory"),
]


@pytest.mark.parametrize(
    ("fields", "step", "errno", "message"),
    [case[1:] for case in UNEXECUTABLE],
    ids=[case[0] for case in UNEXECUTABLE],
)
def test_command_that_cannot_be_executed(
    stub: Any, fields: dict[str, Any], step: str, errno: int, message: str
) -> None:
    """A command that can't be executed is INVALID_ARGUMENT with step and errno, and its job can be looked at."""
    refusal = refused(stub.StartJob, start(**fields))
    assert (refusal.code, refusal.reason) == (INVALID, "START_FAILED")
    assert (refusal.metadata["step"], refusal.metadata["errno"]) == (step, str(errno))
    assert message in refusal.message
    job = stub.GetJob(pb.GetJobRequest(job_id=refusal.metadata["job_id"]), timeout=DEADLINE).job
    assert (job.state, job.failed_step.step, job.failed_step.errno) == (pb.JOB_STATE_FAILED, step, errno)


@pytest.mark.parametrize("method", ["GetJob", "StopJob", "WaitJob", "DeleteJob", "StreamOutput"])
@pytest.mark.parametrize("ref", [UNKNOWN_ID, UNKNOWN_ID[:8], "no-such-name", "ab", "x" * 5000, "a\nb", "%", "ä"])
def test_unknown_job(stub: Any, method: str, ref: str) -> None:
    """An id, prefix or name that no job has is NOT_FOUND with every method."""
    request = "StreamOutputRequest" if method == "StreamOutput" else f"{method}Request"
    refusal = refused_long(getattr(stub, method), getattr(pb, request)(job_id=ref), len(ref) > 100)
    assert (refusal.code, refusal.reason) == (MISSING, "NOT_FOUND")
    assert refusal.message.startswith("no job ")


def refused_long(method: Callable[..., Any], request: Any, long: bool) -> calls.Refusal:
    """Make a call that has to be refused; what quotes a long text may be long."""
    if not long:
        return refused(method, request)
    error = failed(method, request)
    assert isinstance(error, grpc.Call)
    assert len(error.details() or "") <= 1024
    return calls.Refusal(error.code(), error.details() or "", "NOT_FOUND", {})


def test_ambiguous_prefix(server: Server) -> None:
    """A prefix that two jobs share is INVALID_ARGUMENT and asks for more digits; one more digit is enough."""
    ids = ["abcdef01-0000-4000-8000-000000000000", "abcdef01-1000-4000-8000-000000000000"]
    assert server.terminate() == 0
    asyncio.run(asyncio.wait_for(put_ended_jobs(server, ids), DEADLINE))
    server.start()
    with calls.channel(server) as channel:
        stub = calls.stub(channel)
        for method, request in (
            (stub.GetJob, pb.GetJobRequest(job_id="abcdef01")),
            (stub.DeleteJob, pb.DeleteJobRequest(job_id="ABCDEF01-")),
            (stub.StreamOutput, pb.StreamOutputRequest(job_id="abcdef01")),
        ):
            refusal = refused(method, request)
            assert (refusal.code, refusal.reason) == (INVALID, "INVALID_ARGUMENT")
            assert "is the beginning of several jobs' ids" in refusal.message
            assert "more digits" in refusal.metadata["hint"]
        assert stub.GetJob(pb.GetJobRequest(job_id="abcdef01-1"), timeout=DEADLINE).job.job_id == ids[1]


async def put_ended_jobs(server: Server, ids: list[str]) -> None:
    """Write ended jobs of these ids into a stopped server's database."""
    store = Store(server.data_dir / "state.db", lambda _: None)
    await store.open()
    for job_id in ids:
        log_path = str(server.log_dir / f"{job_id}.log")
        job = Job(job_id, JobSpec(["true"]), "admin", JobState.PENDING, datetime.now(UTC), log_path)
        await store.insert(job, None, process.boot_id())
        await store.advance(job_id, JobState.PENDING, JobState.COMPLETED, {"exit_code": 0})
    await store.close()


@pytest.mark.parametrize("content", [b"\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x08\x01\x08"])
def test_what_is_no_message(shared_server: Server, content: bytes) -> None:
    """Bytes that are no message of the method's type are INVALID_ARGUMENT."""
    with calls.channel(shared_server) as channel:
        for method in ("StartJob", "GetJob"):
            call: Any = channel.unary_unary(f"/jsched.v1.JobService/{method}")
            refusal = refused(call, content)
            assert (refusal.code, refusal.reason) == (INVALID, "INVALID_ARGUMENT")
            assert refusal.message == "the request is not a message of the right type"


@pytest.mark.parametrize("method", ["/jsched.v1.JobService/PauseJob", "/jsched.v2.JobService/GetJob", "/x/y"])
def test_unknown_method(shared_server: Server, method: str) -> None:
    """A method that the server does not have is UNIMPLEMENTED, unary or streaming."""
    with calls.channel(shared_server) as channel:
        unary: Any = channel.unary_unary(method)
        stream: Any = channel.unary_stream(method)
        for call in (unary, stream):
            refusal = refused(call, b"")
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")
            assert refusal.message == "no such method"
            assert refusal.metadata["object"] == method


def test_delete_of_a_running_job(stub: Any) -> None:
    """A running job can't be deleted: FAILED_PRECONDITION says what to do, and the job runs on."""
    job = stub.StartJob(start(argv=["sleep", "1000"]), timeout=DEADLINE).job
    refusal = refused(stub.DeleteJob, pb.DeleteJobRequest(job_id=job.job_id))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION")
    assert refusal.metadata["object"] == job.job_id
    assert refusal.metadata["hint"] == "stop it first"
    assert stub.GetJob(pb.GetJobRequest(job_id=job.job_id), timeout=DEADLINE).job.state == pb.JOB_STATE_RUNNING
    assert Path(job.log_path).exists()
    stub.StopJob(pb.StopJobRequest(job_id=job.job_id), timeout=DEADLINE)


def test_name_of_a_running_job(stub: Any) -> None:
    """A name that a running job has is ALREADY_EXISTS for a new one, and free again once that has ended."""
    name = f"n-{uuid.uuid4()}"
    first = stub.StartJob(start(argv=["sleep", "1000"], name=name), timeout=DEADLINE).job
    refusal = refused(stub.StartJob, start(name=name))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert refusal.metadata["object"] == first.job_id
    stub.StopJob(pb.StopJobRequest(job_id=name), timeout=DEADLINE)
    assert stub.StartJob(start(name=name), timeout=DEADLINE).job_id != first.job_id


def test_refused_starts_leave_nothing(shared_server: Server, stub: Any) -> None:
    """A start that was refused for its arguments has made no job and no file."""
    label = {"refused": str(uuid.uuid4())}
    logs = set(shared_server.log_dir.iterdir())
    wrong: list[dict[str, Any]] = [{"argv": []}, {"env": {"": ""}}, {"timeout": Duration(seconds=-1)}, {"workdir": "x"}]
    for fields in wrong:
        refused(stub.StartJob, start(labels=label, **fields))
    assert not stub.ListJobs(pb.ListJobsRequest(labels=label), timeout=DEADLINE).jobs
    assert set(shared_server.log_dir.iterdir()) == logs
