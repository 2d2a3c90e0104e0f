"""Messages of the API → values of the domain."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network, Walls
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
from jsched.limits import DISK_RATES, DiskLimit, Limits, Unenforced
from jsched.state import JobState
from jsched.v1 import jobs_pb2 as pb

if TYPE_CHECKING:
    from jsched.stats import Stats

STATES = {pb.JobState.Value(f"JOB_STATE_{state.name}"): state for state in JobState}
REASONS = {pb.TerminationReason.Value(f"TERMINATION_REASON_{reason.name}"): reason for reason in Reason}
_MODES = {pb.IsolationMode.Value(f"ISOLATION_MODE_{mode.name}"): mode for mode in Mode}
_NETWORKS = {pb.NetworkMode.Value(f"NETWORK_MODE_{network.name}"): network for network in Network}

_TIMES = ("cpu_user", "cpu_system", "throttled")
_NUMBERS = tuple(field.name for field in fields(Usage) if field.name not in _TIMES)


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
            applied=_limits(message.applied_limits) if message.HasField("applied_limits") else None,
            unenforced=tuple(Unenforced(one.limit, one.controller, one.reason) for one in message.unenforced_limits),
            walls=_walls(message.walls) if message.HasField("walls") else None,
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


def stats(message: pb.GetStatsResponse) -> Stats:
    """Return what the server is doing; raises Internal for jobs in a state that is none."""
    # Most commands ask for no numbers.
    from jsched.stats import Load, Stats

    try:
        jobs = {STATES[count.state]: count.jobs for count in message.jobs}
    except KeyError as error:
        raise Internal(
            f"the server has jobs in state {error.args[0]}, which this client does not know",
            hint="are both sides of the same version?",
        ) from None
    load = message.load
    return Stats(
        jobs,
        Load(
            load.jobs,
            cpu=_seconds(load.cpu) if load.HasField("cpu") else None,
            memory=load.memory if load.HasField("memory") else None,
            pids=load.pids if load.HasField("pids") else None,
        ),
        message.followers,
        owner=message.owner or None,
        version=message.server_version,
        started_at=_time(message.server_started_at) if message.HasField("server_started_at") else None,
    )


def _spec(message: pb.Job) -> JobSpec:
    return JobSpec(
        list(message.argv),
        env=dict.fromkeys(message.env_names, ""),
        workdir=message.workdir or None,
        name=message.name or None,
        labels=dict(message.labels),
        timeout=_seconds(message.timeout) if message.HasField("timeout") else None,
        grace=_seconds(message.grace),
        limits=_limits(message.limits),
        confinement=_confinement(message.confinement) if message.HasField("confinement") else NOTHING_ASKED,
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
    known: dict[str, Any] = {
        name: getattr(message, name) if name in _NUMBERS else _seconds(getattr(message, name))
        for name in (*_TIMES, *_NUMBERS)
        if message.HasField(name)
    }
    return Usage(**known)


def _confinement(message: pb.Confinement) -> Confinement:
    return Confinement(
        mode=_MODES[message.isolation] if message.isolation else None,
        network=_NETWORKS[message.network] if message.network else None,
        rootfs=message.rootfs or None,
        binds=tuple(Bind(one.source, one.target, one.writable) for one in message.binds),
        user=message.user or None,
        group=message.group or None,
    )


def _walls(message: pb.Walls) -> Walls:
    return Walls(_MODES[message.isolation], _NETWORKS[message.network], message.rootfs, tuple(message.steps))


def _limits(message: pb.Limits) -> Limits:
    disk = (
        DiskLimit(limit.device, **{rate: getattr(limit, rate) or None for rate in DISK_RATES}) for limit in message.disk
    )
    return Limits(
        cpus=message.cpus or None,
        cpu_weight=message.cpu_weight or None,
        memory=message.memory or None,
        swap=message.swap if message.HasField("swap") else None,
        pids=message.pids or None,
        disk_weight=message.disk_weight or None,
        disk=tuple(disk),
    )


def _time(message: Any) -> datetime:
    moment: datetime = message.ToDatetime(tzinfo=UTC)
    return moment


def _seconds(message: Any) -> float:
    return float(message.seconds) + float(message.nanos) / 1e9
