"""Messages become values and values requests, with nothing lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jsched.client import decode, requests
from jsched.errors import Internal, InvalidArgument
from jsched.job import (
    Exited,
    FailedStep,
    Job,
    JobFilter,
    JobPage,
    JobSpec,
    Lost,
    Outcome,
    Reason,
    Signaled,
    StopResult,
    Usage,
)
from jsched.limits import DiskLimit, Limits, Unenforced
from jsched.server import convert
from jsched.state import JobState
from jsched.v1 import jobs_pb2 as pb
from tests.unit.client.conftest import JOB_ID, job_message

BORN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LIMITS = Limits(
    cpus=0.5,
    cpu_weight=1,
    memory=2**40,
    swap=0,
    pids=20,
    disk_weight=10_000,
    disk=(DiskLimit("all", read_bps=2**62), DiskLimit("8:0", write_bps=1, read_iops=2, write_iops=3)),
)
FULL_SPEC = JobSpec(
    ["sh", "-c", "echo ü\n"],
    env={"A": "", "B": ""},
    workdir="/srv",
    name="nightly",
    labels={"team": "a b", "x/y": ""},
    timeout=90.25,
    grace=0,
    limits=LIMITS,
)
ENDINGS: list[tuple[JobState, Outcome | None, Reason | None]] = [
    (JobState.PENDING, None, None),
    (JobState.RUNNING, None, None),
    (JobState.COMPLETED, Exited(0), None),
    (JobState.COMPLETED, Exited(255), None),
    (JobState.STOPPED, Signaled(15), None),
    *((JobState.TERMINATED, Signaled(9), reason) for reason in Reason),
    (JobState.FAILED, FailedStep("exec", 2), None),
    (JobState.UNKNOWN, Lost(), None),
]


@pytest.mark.parametrize(("state", "outcome", "reason"), ENDINGS)
def test_a_job_survives_the_wire(state: JobState, outcome: Outcome | None, reason: Reason | None) -> None:
    """What the server encodes is what the client decodes, in every state and with every outcome."""
    job = Job(
        id=JOB_ID,
        spec=FULL_SPEC,
        owner="alice",
        state=state,
        created_at=BORN,
        log_path="/var/log/jsched/x.log",
        started_at=BORN + timedelta(microseconds=1),
        ended_at=BORN + timedelta(days=400),
        outcome=outcome,
        reason=reason,
        forced=True,
        stopped_by="bob",
        pid=4711,
        usage=Usage(1.5, 0.000001, 2**40, 0.25, 2**41, 0, 1, 2, 3, 4, 5, 6),
        applied=Limits(swap=0),
        unenforced=(Unenforced("cpus", "cpu", "not mounted"),),
    )
    assert decode.job(pb.Job.FromString(convert.from_job(job).SerializeToString())) == job


def test_a_job_with_nothing_but_what_must_be() -> None:
    """Fields that are not set are None, never made up."""
    assert decode.job(job_message()) == Job(
        id=JOB_ID, spec=JobSpec(["true"]), owner="alice", state=JobState.RUNNING, created_at=BORN, log_path="/l"
    )


@pytest.mark.parametrize("fields", [{"state": 0}, {"state": 99}, {"reason": 99}, {"argv": []}, {"name": "no name!"}])
def test_a_message_that_is_no_job_is_a_defect(fields: dict[str, Any]) -> None:
    """A state, reason or command that can't be is said to be the server's fault."""
    message = job_message()
    for name, value in fields.items():
        message.ClearField(name)
        if value:
            setattr(message, name, value)
    with pytest.raises(Internal, match="not a job that this client understands"):
        decode.job(message)


@pytest.mark.parametrize("usage", [Usage(), Usage(0.0, 0.0), Usage(memory_current=0, oom_kills=0)])
def test_usage_that_is_not_known(usage: Usage) -> None:
    """What is not known of a usage is not known afterwards, and nothing is not unknown."""
    job = replace(decode.job(job_message()), usage=usage, applied=Limits())
    assert decode.job(convert.from_job(job)) == job


def test_pages_and_stops() -> None:
    """A page keeps its order and its token, a stop whether the job had ended."""
    page = decode.page(pb.ListJobsResponse(jobs=[job_message(name="b"), job_message(name="a")], next_page_token="t"))
    assert isinstance(page, JobPage)
    assert [job.spec.name for job in page.jobs] == ["b", "a"]
    assert page.next_page_token == "t"
    assert decode.stop_result(pb.StopJobResponse(job=job_message(), already_ended=True)) == StopResult(
        decode.job(job_message()), True
    )


@pytest.mark.parametrize("spec", [FULL_SPEC, JobSpec(["x", "", "--"]), JobSpec(["x"], timeout=0.001, grace=3.5)])
def test_a_spec_survives_the_wire(spec: JobSpec) -> None:
    """What the client asks for is what the server reads."""
    request = pb.StartJobRequest.FromString(requests.start(spec, "once").SerializeToString())
    assert convert.to_spec(request) == spec
    assert request.request_id == "once"


def test_a_start_without_a_request_id_gets_its_own() -> None:
    """Two starts are two jobs, though each may be sent again."""
    one, two = (requests.start(JobSpec(["x"]), None).request_id for _ in range(2))
    assert len(one) == len(two) == 32
    assert one != two


def test_a_filter_survives_the_wire() -> None:
    """What a list leaves out is the same on both sides."""
    wanted = JobFilter(frozenset({JobState.RUNNING, JobState.FAILED}), "alice", "n", {"k": "v"})
    request = requests.list_jobs(wanted, 7, "token")
    assert convert.to_filter(request) == wanted
    assert (request.page_size, request.page_token) == (7, "token")
    assert convert.to_filter(requests.list_jobs(JobFilter(), 0, "")) == JobFilter()


def test_a_grace_that_is_not_given_is_not_sent() -> None:
    """None leaves the job's own grace period in force, 0 is none at all."""
    assert not requests.stop("x", None).HasField("grace")
    assert requests.stop("x", 0).HasField("grace")
    assert requests.stop("x", 0.5).grace.nanos == 500_000_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: requests.stop("x", -1),
        lambda: requests.stop("x", float("nan")),
        lambda: requests.stream("x", -1, True),
        lambda: requests.stream("x", 2**64, True),
        lambda: requests.list_jobs(JobFilter(), -1, ""),
        lambda: requests.get("\udcff"),
    ],
)
def test_what_the_wire_cant_carry_is_refused(make: Any) -> None:
    """A value that protobuf would choke on is an InvalidArgument before anything is sent."""
    with pytest.raises(InvalidArgument):
        make()
