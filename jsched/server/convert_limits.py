"""Limits and usage: the API's messages to the domain's values and back."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from jsched.job import Usage
from jsched.limits import NO_LIMITS, DiskLimit, Limits, Unenforced
from jsched.v1 import jobs_pb2 as pb


def to_limits(message: pb.Limits) -> Limits:
    """Return the limits that a message asks for, 0 being none; raises InvalidArgument naming the field."""
    if not message.ByteSize():
        return NO_LIMITS
    return Limits(
        cpus=message.cpus or None,
        cpu_weight=message.cpu_weight or None,
        memory=message.memory or None,
        swap=message.swap if message.HasField("swap") else None,
        pids=message.pids or None,
        disk_weight=message.disk_weight or None,
        disk=tuple(_to_disk_limit(limit) for limit in message.disk),
    )


def from_limits(limits: Limits) -> pb.Limits:
    """Return limits as the API shows them."""
    if limits == NO_LIMITS:
        return pb.Limits()
    disk = [pb.DiskLimit(device=limit.device, **limit.rates) for limit in limits.disk]
    return pb.Limits(
        cpus=limits.cpus or 0,
        cpu_weight=limits.cpu_weight or 0,
        memory=limits.memory or 0,
        swap=limits.swap,
        pids=limits.pids or 0,
        disk_weight=limits.disk_weight or 0,
        disk=disk,
    )


def from_unenforced(one: Unenforced) -> pb.UnenforcedLimit:
    """Return a limit that is not applied, as the API shows it."""
    return pb.UnenforcedLimit(limit=one.limit, controller=one.controller, reason=one.reason)


def from_usage(usage: Usage) -> pb.Usage:
    """Return what a job used, as the API shows it: what is not known is not set."""
    return pb.Usage(
        cpu_user=to_duration(usage.cpu_user),
        cpu_system=to_duration(usage.cpu_system),
        max_rss=usage.max_rss,
        throttled=to_duration(usage.throttled),
        memory_peak=usage.memory_peak,
        memory_current=usage.memory_current,
        read_bytes=usage.read_bytes,
        written_bytes=usage.written_bytes,
        read_operations=usage.read_operations,
        written_operations=usage.written_operations,
        pids_peak=usage.pids_peak,
        oom_kills=usage.oom_kills,
    )


def to_duration(seconds: float | None) -> Duration | None:
    """Return seconds, not negative, as a Duration in whole microseconds; None for None."""
    if seconds is None:
        return None
    # Not negative, so seconds and nanos have one sign, as they must.
    whole, microseconds = divmod(round(seconds * 1_000_000), 1_000_000)
    return Duration(seconds=whole, nanos=microseconds * 1000)


def _to_disk_limit(message: pb.DiskLimit) -> DiskLimit:
    return DiskLimit(
        message.device,
        read_bps=message.read_bps or None,
        write_bps=message.write_bps or None,
        read_iops=message.read_iops or None,
        write_iops=message.write_iops or None,
    )
