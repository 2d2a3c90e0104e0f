"""The table [wire] of the server's configuration: what one connection, one call and one stream may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from jsched.errors import InvalidArgument
from jsched.limits import parse_size, size_in_words

KIB = 1024
MIB = 1024 * KIB
YEAR = 366 * 86400.0

# Where the lower end is 0, that means: no limit.
_SIZES = {"max_message_size": (4 * KIB, 64 * MIB), "max_metadata_size": (KIB, MIB)}
_COUNTS = {
    "max_connections": (0, 10_000_000),
    "max_streams_per_connection": (1, 1_000_000),
    "max_streams_per_user": (0, 10_000_000),
    "max_requests_per_user": (1, 1_000_000),
}
_SECONDS = {
    "handshake_timeout": (0.1, 3600.0),
    "request_timeout": (0.0, YEAR),
    "connection_age": (0.0, YEAR),
    "connection_age_grace": (0.0, YEAR),
    "connection_idle_timeout": (0.0, YEAR),
    "stream_idle_timeout": (0.0, YEAR),
    "keepalive_time": (1.0, 86400.0),
    "keepalive_timeout": (1.0, 3600.0),
}
_RANGES: Mapping[str, tuple[float, float]] = _SIZES | _COUNTS | _SECONDS


@dataclass(frozen=True, slots=True)
class WireConfig:
    """What clients may cost. Sizes are bytes, times seconds; 0 is no limit where 0 is accepted.

    `max_message_size` is that of one request, `max_metadata_size` that of a call's headers as
    HTTP/2 counts them (RFC 9113, section 6.5.2). With `max_connections` 0, connections may take
    three quarters of the descriptors that the server may have. `max_streams_per_user` counts the
    calls of one user that last: streams, waits, uploads. A user's stops are counted apart, watches
    of health by certificate, up to the same number. Of one user's requests no more than
    `max_requests_per_user` are taken in at once, the others wait; each has `request_timeout` from
    its call's headers on, and so has each message of an upload. Within `handshake_timeout` a new
    connection has TLS and its first HTTP/2 settings behind it, or is closed. A connection is
    asked to end at `connection_age`, give or take a tenth, and its calls have
    `connection_age_grace` more; it is closed after `connection_idle_timeout` without a call. A
    stream that could not send anything for `stream_idle_timeout` is ended. A client that is
    silent for `keepalive_time` is asked whether it is there, and has `keepalive_timeout` to
    answer. Raises InvalidArgument naming the key.
    """

    max_message_size: int = 4 * MIB
    max_metadata_size: int = 16 * KIB
    max_connections: int = 0
    max_streams_per_connection: int = 2048
    max_streams_per_user: int = 1024
    max_requests_per_user: int = 16
    handshake_timeout: float = 10.0
    request_timeout: float = 60.0
    connection_age: float = 86400.0
    connection_age_grace: float = 3600.0
    connection_idle_timeout: float = 900.0
    stream_idle_timeout: float = 86400.0
    keepalive_time: float = 60.0
    keepalive_timeout: float = 20.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_range(field.name, getattr(self, field.name))


KEYS = frozenset(field.name for field in fields(WireConfig))


def parse_wire(table: Mapping[str, Any]) -> WireConfig:
    """Return the configuration of a table as TOML has it; raises InvalidArgument naming the key.

    Sizes may be text with a unit, such as "4m".
    """
    if not isinstance(table, Mapping):
        raise InvalidArgument("wire is not a table", obj="wire")
    for name in table:
        if name not in KEYS:
            raise InvalidArgument(
                f"unknown key {name!r} in wire", obj="wire", hint=f"known are {', '.join(sorted(KEYS))}"
            )
    return WireConfig(**{name: _value(name, value) for name, value in table.items()})


def _value(name: str, value: Any) -> Any:
    if name in _SIZES and isinstance(value, str):
        return parse_size(value, name)
    if name in _SECONDS and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, float if name in _SECONDS else int):
        kind = "a number of seconds" if name in _SECONDS else "a whole number"
        raise InvalidArgument(f"{name} is {value!r}, not {kind}", obj=name)
    return value


def _check_range(name: str, value: float) -> None:
    least, most = _RANGES[name]
    if value == 0 and least == 0:
        return
    # A NaN is in no range.
    if not least <= value <= most:
        raise InvalidArgument(
            f"{name} is {_shown(name, value)}, not from {_number(name, least)} to {_shown(name, most)}", obj=name
        )


def _shown(name: str, value: float) -> str:
    return _number(name, value) + (" seconds" if name in _SECONDS else "")


def _number(name: str, value: float) -> str:
    if name in _SIZES:
        return size_in_words(int(value))
    return f"{value:.0f}" if float(value).is_integer() else f"{value:g}"
