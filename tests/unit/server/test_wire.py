"""gRPC's options, and the limits that gRPC would not name."""

from __future__ import annotations

import resource

import pytest

from jsched.errors import ResourceExhausted
from jsched.server import wire
from jsched.wire_config import WireConfig

NEVER = 2**31 - 1


@pytest.fixture(autouse=True)
def descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may have 1,000 descriptors."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))


@pytest.mark.parametrize(("configured", "most"), [(0, 750), (100, 100), (750, 750), (5000, 750)])
def test_connections_leave_descriptors_to_jobs(configured: int, most: int, caplog: pytest.LogCaptureFixture) -> None:
    """Connections take three quarters of the descriptors at the most, and it is said if more were wanted."""
    assert dict(wire.options(WireConfig(max_connections=configured)))["grpc.max_allowed_incoming_connections"] == most
    assert [record.getMessage() for record in caplog.records] == (
        []
        if configured <= 750
        else ["max_connections is 5000, but 1000 descriptors have room for 750 connections and the rest of the server"]
    )


def test_seconds_are_milliseconds_and_0_is_never() -> None:
    """Times are what gRPC takes; what is not limited, or is longer than gRPC can count, is as good as for ever."""
    limits = WireConfig(
        handshake_timeout=0.25, connection_age=0, connection_age_grace=31_000_000, connection_idle_timeout=1.5
    )
    options = dict(wire.options(limits))
    assert options["grpc.server_handshake_timeout_ms"] == 250
    assert options["grpc.max_connection_age_ms"] == NEVER
    assert options["grpc.max_connection_age_grace_ms"] == NEVER
    assert options["grpc.max_connection_idle_ms"] == 1500


def test_metadata_is_counted_as_http_2_does() -> None:
    """Names, values and 32 bytes a header count; one byte more than the limit is too much."""
    limits = WireConfig(max_metadata_size=1024)
    assert wire.metadata_excess(None, limits) is None
    assert wire.metadata_excess((("key", "v" * 957), ("k-bin", b"")), limits) is not None
    assert wire.metadata_excess((("key", "v" * 952), ("k-bin", b"")), limits) is None
    excess = wire.metadata_excess([("k", "")] * 32, limits)
    assert excess is not None
    assert excess.message == "the call's metadata has 1056 bytes, more than max_metadata_size, which is 1024"


def test_messages_are_decoded_up_to_the_limit() -> None:
    """A message of the largest size is decoded, one byte more is refused by name and reaches no decoder."""
    limits = WireConfig(max_message_size=4096)
    decoded: list[int] = []
    for decode in (lambda content: decoded.append(len(content)), None):
        limited = wire.limited(decode, limits)
        limited(bytes(4096))
        with pytest.raises(ResourceExhausted, match="4097 bytes, more than max_message_size, which is 4096"):
            limited(bytes(4097))
    assert decoded == [4096]
