"""Messages of the API → values of the domain."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jsched.errors import Internal, InvalidArgument
from jsched.job import (
    Exited,
    FailedStep,
    Job,
    JobPage,
    JobSpec,
    Lost,
    Outcome,
    Reason,
    Signaled,
    StopResult,
    Usage,
)
from jsched.state import JobState
from jsched.v1 import jobs_pb2 as pb

STATES = {pb.JobState.Value(f"JOB_STATE_{state.name}"): state for state in JobState}
REASONS = {pb.TerminationReason.Value(f"TERMINATION_REASON_{reason.name}"): reason for reason in Reason}


def job(message: pb.Job) -> Job:
    """Return the job of a message.

    The values of environment variables are not told by the server: `spec.env` has their
    names, each with an empty value. Raises Internal for a message that is no job.
    """
    try:
        return Job(
            id=message.job_id,
            spec=_spec(message),
            owner=message.owner,
            state=STATES[message.state],
            created_at=_time(message.created_at),
            started_at=_time(message.started_at) if message.HasField("started_at") else None,
            ended_at=_time(message.ended_at) if message.HasField("ended_at") else None,
            outcome=_outcome(message),
            reason=REASONS[message.reason] if message.reason else None,
            forced=message.forced,
            stopped_by=message.stopped_by or None,
            pid=message.pid or None,
            log_path=message.log_path,
            usage=_usage(message.usage) if message.HasField("usage") else None,
        )
    except (KeyError, ValueError, OverflowError, InvalidArgument) as error:
        raise Internal(
            f"the server's answer is not a job that this client understands: {error}",
            obj=message.job_id,
            hint="are both sides of the same version?",
        ) from None


def stop_result(message: pb.StopJobResponse) -> StopResult:
    """Return what a stop came to."""
    return StopResult(job=job(message.job), already_ended=message.already_ended)


def page(message: pb.ListJobsResponse) -> JobPage:
    """Return one page of jobs."""
    return JobPage(tuple(job(entry) for entry in message.jobs), message.next_page_token)


def _spec(message: pb.Job) -> JobSpec:
    return JobSpec(
        list(message.argv),
        env=dict.fromkeys(message.env_names, ""),
        workdir=message.workdir or None,
        name=message.name or None,
        labels=dict(message.labels),
        timeout=_seconds(message.timeout) if message.HasField("timeout") else None,
        grace=_seconds(message.grace),
    )


def _outcome(message: pb.Job) -> Outcome | None:
    match message.WhichOneof("outcome"):
        case "exit_code":
            return Exited(message.exit_code)
        case "signal":
            return Signaled(message.signal)
        case "failed_step":
            return FailedStep(message.failed_step.step, message.failed_step.errno)
        case "unknown":
            return Lost()
    return None


def _usage(message: pb.Usage) -> Usage:
    return Usage(_seconds(message.cpu_user), _seconds(message.cpu_system), message.max_rss)


def _time(message: Any) -> datetime:
    moment: datetime = message.ToDatetime(tzinfo=UTC)
    return moment


def _seconds(message: Any) -> float:
    return float(message.seconds) + float(message.nanos) / 1e9
