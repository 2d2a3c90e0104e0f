from __future__ import annotations

import pytest

from jsched.server import handshakes
from jsched.server.handshakes import Minute, Records

HEAD = b"I1124 09:56:34.307186    4580 handshaker.cc:155] "
TRACE = b"I1124 09:56:34.305464    4583 channel_trace.h:396] handshake manager 0x7f93480020c0:  calling handshaker\n"
PLACE = b"=== Source Location Trace: ===\nsrc/core/util/status_helper.cc:68\n"


def failed(status: bytes, peer: bytes) -> bytes:
    return (
        HEAD
        + b"CallNextHandshakerLocked: error="
        + status
        + b"\n"
        + PLACE
        + b" shutdown=false index=2, args={endpoint=0x1, args={grpc.internal.endpoint_peer_address="
        + peer
        + b", grpc.x=1}, exit_early=0}\n"
    )


WITHOUT_CERTIFICATE = failed(
    b"UNKNOWN: Ssl handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:100000c0:SSL routines:"
    b"OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE: Invalid certificate verification context: OK",
    b"ipv4:127.0.0.1:34764",
)
GOOD = HEAD + b"CallNextHandshakerLocked: error=OK shutdown=false index=2, args={x}\n"


def read(*parts: bytes) -> tuple[list[tuple[str, str]], bytes]:
    refused: list[tuple[str, str]] = []
    passed: list[bytes] = []
    records = Records(lambda peer, reason: refused.append((peer, reason)), passed.append)
    for part in parts:
        records.take(part)
    return refused, b"".join(passed)


def test_a_refused_handshake_is_told_with_peer_and_reason() -> None:
    """Of all that the C core says of a handshake that failed, the peer and the reason are told, once."""
    told = [("ipv4:127.0.0.1:34764", "PEER_DID_NOT_RETURN_A_CERTIFICATE")]
    assert read(TRACE, WITHOUT_CERTIFICATE, TRACE) == (told, b"")
    data = TRACE + GOOD + WITHOUT_CERTIFICATE + TRACE
    for cut in range(0, len(data), 7):
        assert read(data[:cut], data[cut:]) == (told, b"")
    assert read(*(data[n : n + 1] for n in range(len(data)))) == (told, b"")


@pytest.mark.parametrize(
    ("status", "peer", "told"),
    [
        (
            b"UNKNOWN: Cannot check peer: missing selected ALPN property.",
            b"ipv6:%5B::1%5D:5",
            [("ipv6:[::1]:5", "Cannot check peer: missing selected ALPN property.")],
        ),
        (
            b"UNAVAILABLE: Handshake read failed (Endpoint closing)",
            b"ipv4:1.2.3.4:5",
            [("ipv4:1.2.3.4:5", "UNAVAILABLE: Handshake read failed (Endpoint closing)")],
        ),
        (b"UNAVAILABLE: Handshake read failed (Socket closed)", b"ipv4:1.2.3.4:5", []),
    ],
)
def test_reasons(status: bytes, peer: bytes, told: list[tuple[str, str]]) -> None:
    """Reasons are what gRPC gives; who only looks whether the port is open was not refused."""
    assert read(failed(status, peer), TRACE) == (told, b"")


def test_everything_else_is_passed_on() -> None:
    """Errors of the C core and what other libraries print go where they went before; the trace does not."""
    error = b"E1124 09:56:34.307186    4580 server.cc:1] Something failed\n"
    warning = b"W1124 09:56:22.610589    3282 log.cc:102] Log level INFO is not suitable for production. Prefer\n"
    foreign = b"free(): invalid pointer\n"
    assert read(warning, TRACE, error, foreign, TRACE, foreign, GOOD) == ([], error + foreign + foreign)
    assert read(b"x" * 100_000) == ([], b"x" * 100_000)


def test_strangers_do_not_fill_the_disk() -> None:
    """Sixty refusals a minute have a line each, the rest are counted when the minute is over."""
    now = 0.0
    minute = Minute(lambda: now)
    assert sum(minute.may() for _ in range(1000)) == 60
    assert minute.over() == 0
    now = 61.0
    assert minute.over() == 940
    assert minute.over() == 0
    assert minute.may()
    now = 200.0
    assert sum(minute.may() for _ in range(70)) == 60
    assert minute.rest() == 10


def test_who_wants_to_see_grpc_s_messages_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With gRPC's own variables set nothing is diverted."""
    monkeypatch.setenv("GRPC_TRACE", "http")
    assert handshakes.prepare() is None
