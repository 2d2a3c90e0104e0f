"""The API's messages to the domain's values and back; the wire knows no other place."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jsched.errors import InvalidArgument
from jsched.job import (
    DEFAULT_GRACE,
    Exited,
    FailedStep,
    Job,
    JobFilter,
    JobPage,
    JobSpec,
    Lost,
    Reason,
    Signaled,
    StopResult,
)
from jsched.server.convert_confinement import from_confinement, from_walls, to_confinement
from jsched.server.convert_limits import from_limits, from_unenforced, from_usage, to_duration, to_limits
from jsched.state import JobState
from jsched.v1 import jobs_pb2 as pb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# A field's number and its wire type: 0 for a varint, 2 for bytes with their length.
_OFFSET_TAG = pb.StreamOutputResponse.OFFSET_FIELD_NUMBER << 3
_DATA_TAG = pb.StreamOutputResponse.DATA_FIELD_NUMBER << 3 | 2

STATES = {
    JobState.PENDING: pb.JOB_STATE_PENDING,
    JobState.RUNNING: pb.JOB_STATE_RUNNING,
    JobState.COMPLETED: pb.JOB_STATE_COMPLETED,
    JobState.STOPPED: pb.JOB_STATE_STOPPED,
    JobState.TERMINATED: pb.JOB_STATE_TERMINATED,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.UNKNOWN: pb.JOB_STATE_UNKNOWN,
}
_STATES_BACK = {number: state for state, number in STATES.items()}
_REASONS = {
    Reason.SIGNAL: pb.TERMINATION_REASON_SIGNAL,
    Reason.OUT_OF_MEMORY: pb.TERMINATION_REASON_OUT_OF_MEMORY,
    Reason.TIME_LIMIT: pb.TERMINATION_REASON_TIME_LIMIT,
    Reason.OUTPUT_LIMIT: pb.TERMINATION_REASON_OUTPUT_LIMIT,
    Reason.HOST_RESTART: pb.TERMINATION_REASON_HOST_RESTART,
}

# What a Duration may hold, and seconds and nanos have one sign. Source: google/protobuf/duration.proto
_MAX_DURATION = 315_576_000_000
_MAX_NANOS = 999_999_999


def to_spec(request: pb.StartJobRequest) -> JobSpec:
    """Return what a start asks for; raises InvalidArgument naming the field."""
    return JobSpec(
        argv=tuple(request.argv),
        env=dict(request.env),
        workdir=request.workdir or None,
        name=request.name or None,
        labels=dict(request.labels),
        timeout=_seconds(request, "timeout"),
        grace=_or_default(_seconds(request, "grace"), DEFAULT_GRACE),
        limits=to_limits(request.limits),
        confinement=to_confinement(request.confinement),
    )


def to_filter(request: pb.ListJobsRequest) -> JobFilter:
    """Return which jobs a list asks for; raises InvalidArgument for a state that is none."""
    try:
        states = frozenset(_STATES_BACK[state] for state in request.states)
    except KeyError as error:
        raise InvalidArgument(f"{error.args[0]} is not a state of a job", obj="states") from None
    return JobFilter(states=states, owner=request.owner or None, name=request.name or None, labels=dict(request.labels))


def to_grace(request: pb.StopJobRequest) -> float | None:
    """Return the grace period of a stop in seconds, None if the job's own is meant."""
    return _seconds(request, "grace")


def from_job(job: Job) -> pb.Job:
    """Return a job as the API shows it."""
    message = pb.Job(
        job_id=job.id,
        argv=job.spec.argv,
        name=job.spec.name or "",
        labels=job.spec.labels,
        owner=job.owner,
        state=STATES[job.state],
        created_at=timestamp(job.created_at),
        started_at=timestamp(job.started_at),
        ended_at=timestamp(job.ended_at),
        forced=job.forced,
        stopped_by=job.stopped_by or "",
        pid=job.pid or 0,
        log_path=job.log_path,
        workdir=job.spec.workdir or "",
        timeout=to_duration(job.spec.timeout),
        grace=to_duration(job.spec.grace),
        env_names=sorted(job.spec.env),
        limits=from_limits(job.spec.limits),
        applied_limits=None if job.applied is None else from_limits(job.applied),
        unenforced_limits=[from_unenforced(one) for one in job.unenforced],
        confinement=from_confinement(job.spec.confinement),
        walls=None if job.walls is None else from_walls(job.walls),
        usage=None if job.usage is None else from_usage(job.usage),
    )
    if job.reason is not None:
        message.reason = _REASONS[job.reason]
    _set_outcome(message, job)
    return message


def from_stop(result: StopResult) -> pb.StopJobResponse:
    """Return the answer to a stop."""
    return pb.StopJobResponse(
        job_id=result.job.id,
        already_ended=result.already_ended,
        forced=result.job.forced,
        job=from_job(result.job),
    )


def from_page(page: JobPage) -> pb.ListJobsResponse:
    """Return a page of a list."""
    return pb.ListJobsResponse(jobs=[from_job(job) for job in page.jobs], next_page_token=page.next_page_token)


def output_head(offset: int, size: int) -> bytes:
    """Return what comes before `size` bytes of output from `offset` on in a serialized StreamOutputResponse.

    By hand, because protobuf would copy the bytes three times.
    Source: https://protobuf.dev/programming-guides/encoding/
    """
    head = bytearray()
    if offset:
        head.append(_OFFSET_TAG)
        _append_varint(head, offset)
    head.append(_DATA_TAG)
    _append_varint(head, size)
    return bytes(head)


def encode_end(offset: int, job: Job) -> bytes:
    """Return the serialized last message of an ended job's output."""
    return pb.StreamOutputResponse(offset=offset, ended=from_job(job)).SerializeToString()


def _append_varint(head: bytearray, value: int) -> None:
    while value > 0x7F:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    head.append(value)


def _set_outcome(message: pb.Job, job: Job) -> None:
    match job.outcome:
        case Exited(code):
            message.exit_code = code
        case Signaled(signal):
            message.signal = signal
        case FailedStep(step, errno):
            message.failed_step.CopyFrom(pb.FailedStep(step=step, errno=errno, message=os.strerror(errno)))
        case Lost():
            message.unknown.SetInParent()
        case None:
            pass


def timestamp(moment: datetime | None) -> Timestamp | None:
    """Return an aware datetime as the API has it."""
    if moment is None:
        return None
    seconds, microseconds = divmod((moment - _EPOCH) // _MICROSECOND, 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1000)


def _seconds(request: pb.StartJobRequest | pb.StopJobRequest, field: str) -> float | None:
    if not request.HasField(field):
        return None
    duration: Duration = getattr(request, field)
    seconds, nanos = duration.seconds, duration.nanos
    if abs(seconds) > _MAX_DURATION or abs(nanos) > _MAX_NANOS or seconds * nanos < 0:
        raise InvalidArgument(f"{field} is {seconds} seconds and {nanos} nanoseconds, not a duration", obj=field)
    return seconds + nanos / 1e9


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value
