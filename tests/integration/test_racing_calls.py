"""Calls that come at the same time: each gets an answer that makes sense, and never an internal error."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.calls import DEADLINE, whole
from tests.helpers.server import Server

pytestmark = pytest.mark.timeout(60)

OK, MISSING = grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND


@pytest.fixture
def stubs(shared_server: Server) -> Iterator[list[Any]]:
    """Stubs with connections of their own."""
    channels = [calls.channel(shared_server) for _ in range(4)]
    yield [calls.stub(channel) for channel in channels]
    for channel in channels:
        channel.close()


def code_of(method: Any, request: Any, timeout: float = DEADLINE) -> grpc.StatusCode:
    """Make a call and return its status."""
    try:
        method(request, timeout=timeout)
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        code: grpc.StatusCode = error.code()
        return code
    return OK


def at_once(*all_of_them: Callable[[], Any]) -> list[Any]:
    """Make these calls at the same moment, as far as threads can, and return their answers."""
    barrier = threading.Barrier(len(all_of_them))

    def make(one: Callable[[], Any]) -> Any:
        barrier.wait(DEADLINE)
        return one()

    with ThreadPoolExecutor(len(all_of_them)) as threads:
        return list(threads.map(make, all_of_them))


def ended_job(stub: Any, *argv: str, **fields: Any) -> Any:
    """Start a job and return it once it has ended."""
    job_id = stub.StartJob(pb.StartJobRequest(argv=argv, **fields), timeout=DEADLINE).job_id
    return stub.WaitJob(pb.WaitJobRequest(job_id=job_id), timeout=DEADLINE).job


def test_starts_with_one_name(stubs: list[Any]) -> None:
    """Of sixteen starts with one name at once, one wins, and the others are told that it has the name."""
    name = f"race-{uuid.uuid4()}"
    request = pb.StartJobRequest(argv=["sleep", "1000"], name=name)
    codes = at_once(*(partial(code_of, stubs[number % 4].StartJob, request) for number in range(16)))
    assert Counter(codes) == {OK: 1, grpc.StatusCode.ALREADY_EXISTS: 15}
    assert len(stubs[0].ListJobs(pb.ListJobsRequest(name=name), timeout=DEADLINE).jobs) == 1
    stubs[0].StopJob(pb.StopJobRequest(job_id=name), timeout=DEADLINE)


def test_starts_that_are_given_up(stubs: list[Any]) -> None:
    """A caller whose deadline passes in the middle of a start gets the one job by asking again with its request id."""
    label = {"given-up": str(uuid.uuid4())}

    def start(number: int) -> Any:
        request = pb.StartJobRequest(argv=["echo", "once"], labels=label, request_id=f"{label['given-up']}-{number}")
        code_of(stubs[0].StartJob, request, number / 10_000)
        job_id = stubs[1].StartJob(request, timeout=DEADLINE).job_id
        return stubs[1].WaitJob(pb.WaitJobRequest(job_id=job_id), timeout=DEADLINE).job

    with ThreadPoolExecutor(4) as threads:
        jobs = list(threads.map(start, range(100)))
    assert [job.exit_code for job in jobs] == [0] * 100
    assert all(Path(job.log_path).read_bytes() == b"once\n" for job in jobs)
    listed = stubs[0].ListJobs(pb.ListJobsRequest(labels=label, page_size=200), timeout=DEADLINE).jobs
    assert {job.job_id for job in listed} == {job.job_id for job in jobs}
    assert len(listed) == 100


def test_stop_that_comes_with_the_start(stubs: list[Any]) -> None:
    """A stop that comes while its job is being started ends it, or comes too early to find it."""
    for number in range(30):
        name = f"early-{number}-{uuid.uuid4()}"
        start = pb.StartJobRequest(argv=["sleep", "1000"], name=name)
        stop = pb.StopJobRequest(job_id=name)
        started, code = at_once(
            partial(stubs[0].StartJob, start, timeout=DEADLINE),
            partial(code_of, stubs[1].StopJob, stop),
        )
        assert code in (OK, MISSING)
        last = stubs[0].StopJob(pb.StopJobRequest(job_id=started.job_id), timeout=DEADLINE)
        assert last.already_ended == (code is OK)
        assert last.job.state == pb.JOB_STATE_STOPPED


def test_time_limit_that_is_over_at_once(stubs: list[Any]) -> None:
    """A time limit of a nanosecond ends a job before it has done anything, and is told as its reason."""
    for _ in range(10):
        job = ended_job(stubs[0], "sleep", "1000", timeout=Duration(nanos=1))
        assert (job.state, job.reason) == (pb.JOB_STATE_TERMINATED, pb.TERMINATION_REASON_TIME_LIMIT)


def test_deletes_at_once(stubs: list[Any]) -> None:
    """Of several deletes at once at least one succeeds, the others succeed or find nothing, and nothing is left."""
    for _ in range(10):
        job = ended_job(stubs[0], "echo", "x")
        request = pb.DeleteJobRequest(job_id=job.job_id)
        codes = at_once(*(partial(code_of, stub.DeleteJob, request) for stub in stubs))
        assert OK in codes
        assert set(codes) <= {OK, MISSING}
        assert not Path(job.log_path).exists()


def test_streams_that_begin_as_the_job_is_deleted(stubs: list[Any]) -> None:
    """A stream that begins while its job is deleted is whole, or there is no such job: never half of it."""
    for _ in range(40):
        job = ended_job(stubs[0], "echo", "x")
        stream = pb.StreamOutputRequest(job_id=job.job_id, follow=True)
        delete = pb.DeleteJobRequest(job_id=job.job_id)

        def read(request: Any, timeout: float, stub: Any, job: Any) -> None:
            assert whole(stub.StreamOutput(request, timeout=timeout)) == (b"x\n", job)

        reads = [partial(code_of, partial(read, stub=stub, job=job), stream) for stub in stubs[1:]]
        codes = at_once(partial(code_of, stubs[0].DeleteJob, delete), *reads)
        assert codes[0] is OK
        assert set(codes) <= {OK, MISSING}


def test_delete_as_the_job_ends(stubs: list[Any]) -> None:
    """A delete that comes as the job ends is refused, or removes all of it; waits end with the job either way."""
    for _ in range(20):
        started = stubs[0].StartJob(pb.StartJobRequest(argv=["true"]), timeout=DEADLINE).job
        delete = pb.DeleteJobRequest(job_id=started.job_id)
        wait = pb.WaitJobRequest(job_id=started.job_id)
        codes = at_once(
            partial(code_of, stubs[0].DeleteJob, delete),
            partial(code_of, stubs[1].WaitJob, wait),
        )
        assert codes[0] in (OK, grpc.StatusCode.FAILED_PRECONDITION)
        assert codes[1] in (OK, MISSING)
        assert Path(started.log_path).exists() == (codes[0] is not OK)
