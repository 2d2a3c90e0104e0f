"""What a connection and a call may cost: gRPC's own options, and the limits that it would not name.

gRPC refuses by itself what is too large, in its own words. So that callers are told which limit
they have met, its limits are twice ours, and what lies between is refused here by name.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterable
from typing import Any

from jsched.errors import ResourceExhausted
from jsched.wire_config import WireConfig

_log = logging.getLogger("jsched.server")

Metadata = Iterable[tuple[str, str | bytes]] | None
# What HTTP/2 counts for a header besides its name and its value (RFC 9113, section 6.5.2).
_HEADER_OVERHEAD = 32
_PING_INTERVAL_MS = 10_000
# So many connections' streams may wait to be looked at, some 20 KiB each.
_PENDING_CONNECTIONS = 4
_NEVER = 2**31 - 1
# Logs that are read, jobs that run and files of the server's own have the rest of the descriptors.
_FOR_CONNECTIONS = 3 / 4


def options(wire: WireConfig) -> list[tuple[str, int]]:
    """Return the options of a server that keeps these limits.

    The process's limit on descriptors has to be what it will be while the server runs.
    """
    pending = _PENDING_CONNECTIONS * wire.max_streams_per_connection
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", 2 * wire.max_message_size),
        ("grpc.max_metadata_size", 2 * wire.max_metadata_size),
        # Between the two limits gRPC would refuse at random.
        ("grpc.absolute_max_metadata_size", 2 * wire.max_metadata_size),
        ("grpc.max_allowed_incoming_connections", max_connections(wire)),
        ("grpc.max_concurrent_streams", wire.max_streams_per_connection),
        # Of more calls that wait for the event loop gRPC cancels some, no matter whose: a client that
        # opens and resets all the streams that it may have must not be enough for that.
        ("grpc.server.max_pending_requests", pending),
        ("grpc.server.max_pending_requests_hard_limit", 2 * pending),
        ("grpc.server_handshake_timeout_ms", _milliseconds(wire.handshake_timeout)),
        ("grpc.max_connection_age_ms", _milliseconds(wire.connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(wire.connection_age_grace)),
        ("grpc.max_connection_idle_ms", _milliseconds(wire.connection_idle_timeout)),
        ("grpc.keepalive_time_ms", _milliseconds(wire.keepalive_time)),
        ("grpc.keepalive_timeout_ms", _milliseconds(wire.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        # It would let every stream send megabytes before anybody asks for them: see receiving.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_INTERVAL_MS),
    ]


def max_connections(wire: WireConfig) -> int:
    """Return how many connections there may be at once: as configured, but not more than descriptors allow."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(descriptors * _FOR_CONNECTIONS), 1)
    if wire.max_connections > most:
        _log.warning(
            "max_connections is %d, but %d descriptors have room for %d connections and the rest of the server",
            wire.max_connections,
            descriptors,
            most,
        )
    return min(wire.max_connections or most, most)


def metadata_excess(metadata: Metadata, wire: WireConfig) -> ResourceExhausted | None:
    """Return what to refuse a call with whose metadata is too large, None for any other.

    gRPC's own limit is not enough: it counts each CONTINUATION frame for itself, and lets 16 MiB pass.
    """
    size = sum(len(key) + len(value) + _HEADER_OVERHEAD for key, value in metadata or ())
    if size <= wire.max_metadata_size:
        return None
    return _exceeded("the call's metadata", size, "max_metadata_size", wire.max_metadata_size)


def limited(decode: Callable[[bytes], Any] | None, wire: WireConfig) -> Callable[[bytes], Any]:
    """Return a decoder that raises ResourceExhausted for a message that is larger than it may be."""

    def checked(content: bytes) -> Any:
        if len(content) > wire.max_message_size:
            raise _exceeded("the request", len(content), "max_message_size", wire.max_message_size)
        return content if decode is None else decode(content)

    return checked


def _exceeded(what: str, size: int, name: str, limit: int) -> ResourceExhausted:
    return ResourceExhausted(f"{what} has {size} bytes, more than {name}, which is {limit}", obj=name)


def _milliseconds(seconds: float) -> int:
    return min(round(seconds * 1000), _NEVER) if seconds else _NEVER
