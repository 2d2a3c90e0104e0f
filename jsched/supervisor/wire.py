"""What server, launcher and monitors say to each other, and how it is framed.

requests  server → launcher, a stream: 4 bytes big-endian length, then a LaunchRequest as JSON
reports   launcher and monitors → server, SOCK_SEQPACKET: one datagram a Report as JSON
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from jsched.supervisor.record import RunRecord

MAX_REQUEST = 64 * 1024 * 1024
MAX_REPORT = 65536

_LENGTH = struct.Struct(">I")


class LaunchRequest(NamedTuple):
    """A job to start; `env` is its whole environment, `timeout` and `grace` are seconds."""

    job_id: str
    argv: tuple[str, ...]
    env: dict[str, str]
    workdir: str
    log_path: str
    log_gid: int | None
    runs_dir: str
    exits_dir: str
    stops_dir: str
    timeout: float | None
    grace: float


class Report(NamedTuple):
    """What became of a launch: a run record, or the step that failed and its errno(3).

    With an empty job id it is the launcher's word that it is ready.
    """

    job_id: str
    run: RunRecord | None = None
    failed_step: str | None = None
    errno: int | None = None


READY = Report("")


class RequestReader:
    """Puts requests together again from the pieces in which a stream delivers them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[LaunchRequest]:
        """Yield each request that is whole now; raises ValueError for one longer than MAX_REQUEST."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_REQUEST:
                raise ValueError(f"a request of {length} bytes is longer than {MAX_REQUEST}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            fields = json.loads(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            fields["argv"] = tuple(fields["argv"])
            yield LaunchRequest(**fields)


def encode_request(request: LaunchRequest) -> bytes:
    """Return the request with its length in front; raises ValueError if it is too long or not valid UTF-8."""
    body = json.dumps(request._asdict(), ensure_ascii=False, separators=(",", ":")).encode()
    if len(body) > MAX_REQUEST:
        raise ValueError(f"a request of {len(body)} bytes is longer than {MAX_REQUEST}")
    return _LENGTH.pack(len(body)) + body


def encode_report(report: Report) -> bytes:
    """Return the report as one datagram."""
    fields = report._asdict()
    fields["run"] = report.run and report.run._asdict()
    return json.dumps(fields, separators=(",", ":")).encode()


def decode_report(data: bytes) -> Report:
    """Return the report in a datagram."""
    fields = json.loads(data)
    fields["run"] = fields["run"] and RunRecord(**fields["run"])
    return Report(**fields)


def send_report(reports: int, report: Report) -> bool:
    """Send a report; False if the socket is full at the moment. A server that is gone hears nothing."""
    try:
        os.write(reports, encode_report(report))
    except BlockingIOError:
        return False
    except (BrokenPipeError, ConnectionResetError):
        pass
    return True
