"""Values of the domain → requests of the API."""

from __future__ import annotations

import os

from google.protobuf.duration_pb2 import Duration

from jsched import spec_fields
from jsched.confinement import NOTHING_ASKED, Confinement
from jsched.errors import InvalidArgument
from jsched.job import JobFilter, JobSpec
from jsched.limits import NO_LIMITS, Limits
from jsched.v1 import jobs_pb2 as pb

_MAX_OFFSET = 2**64 - 1


def start(spec: JobSpec, request_id: str | None) -> pb.StartJobRequest:
    """Return the request for a start; without a request id it gets one, so that it can be sent again."""
    spec_fields.check_request_id(request_id)
    return pb.StartJobRequest(
        argv=spec.argv,
        env=spec.env,
        workdir=spec.workdir or "",
        name=spec.name or "",
        labels=spec.labels,
        timeout=None if spec.timeout is None else duration(spec.timeout),
        grace=duration(spec.grace),
        # 128 random bits, as in a UUIDv4; the uuid module would cost a twentieth of a command's start.
        limits=limits(spec.limits),
        confinement=confinement(spec.confinement),
        request_id=request_id or os.urandom(16).hex(),
    )


def stop(ref: str, grace: float | None) -> pb.StopJobRequest:
    """Return the request for a stop; `grace` in seconds, None for the job's own."""
    if grace is not None:
        spec_fields.check_seconds("grace", grace)
    return pb.StopJobRequest(job_id=_ref(ref), grace=None if grace is None else duration(grace))


def get(ref: str) -> pb.GetJobRequest:
    """Return the request for what is known of a job."""
    return pb.GetJobRequest(job_id=_ref(ref))


def list_jobs(wanted: JobFilter, page_size: int, page_token: str) -> pb.ListJobsRequest:
    """Return the request for one page of jobs."""
    if not 0 <= page_size < 2**31:
        raise InvalidArgument(f"page size is {page_size}, not from 0 to 1000", obj="page_size")
    return pb.ListJobsRequest(
        states=sorted(f"JOB_STATE_{state.name}" for state in wanted.states),
        owner=wanted.owner or "",
        name=wanted.name or "",
        labels=wanted.labels,
        page_size=page_size,
        page_token=page_token,
    )


def stream(ref: str, offset: int, follow: bool) -> pb.StreamOutputRequest:
    """Return the request for output from byte `offset` on."""
    if not 0 <= offset <= _MAX_OFFSET:
        raise InvalidArgument(f"offset is {offset}, not a number of bytes", obj="offset")
    return pb.StreamOutputRequest(job_id=_ref(ref), offset=offset, follow=follow)


def wait(ref: str) -> pb.WaitJobRequest:
    """Return the request for a job's end."""
    return pb.WaitJobRequest(job_id=_ref(ref))


def delete(ref: str) -> pb.DeleteJobRequest:
    """Return the request for a job's removal."""
    return pb.DeleteJobRequest(job_id=_ref(ref))


def get_stats() -> pb.GetStatsRequest:
    """Return the request for what the server is doing."""
    return pb.GetStatsRequest()


def duration(seconds: float) -> Duration:
    """Return seconds as a Duration, rounded to nanoseconds."""
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=nanos)


def confinement(asked: Confinement) -> pb.Confinement | None:
    """Return what is asked of a job's walls as a message, None for nothing."""
    if asked == NOTHING_ASKED:
        return None
    return pb.Confinement(
        isolation=asked.mode and f"ISOLATION_MODE_{asked.mode.name}",
        network=asked.network and f"NETWORK_MODE_{asked.network.name}",
        rootfs=asked.rootfs or "",
        binds=[pb.Bind(source=one.source, target=one.target, writable=one.writable) for one in asked.binds],
        user=asked.user or "",
        group=asked.group or "",
    )


def limits(asked: Limits) -> pb.Limits | None:
    """Return limits as a message, None for no limits."""
    if asked == NO_LIMITS:
        return None
    disk = [pb.DiskLimit(device=limit.device, **limit.rates) for limit in asked.disk]
    return pb.Limits(
        cpus=asked.cpus or 0,
        cpu_weight=asked.cpu_weight or 0,
        memory=asked.memory or 0,
        swap=asked.swap,
        pids=asked.pids or 0,
        disk_weight=asked.disk_weight or 0,
        disk=disk,
    )


def _ref(ref: str) -> str:
    """Return what names a job, if protobuf can carry it."""
    try:
        ref.encode()
    except UnicodeEncodeError:
        raise InvalidArgument("the job's id or name is not valid UTF-8", obj="job_id") from None
    return ref
