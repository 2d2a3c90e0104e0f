"""What server, launcher and monitors say to each other, and how it is framed.

server → launcher  SOCK_SEQPACKET: one byte and a descriptor (SCM_RIGHTS), the monitor's end of its link
launcher → server  one byte, once: it is ready
server → monitor   a stream: 4 bytes big-endian length, then a LaunchRequest as JSON
monitor → server   a stream: one line of JSON a Report
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from typing import Any, NamedTuple

from jsched.isolation.cgroup_plan import CgroupPlan, plan_from_json
from jsched.isolation.sandbox import Sandbox
from jsched.supervisor.record import RunRecord

FORK = b"f"
READY = b"r"
MAX_REQUEST = 64 * 1024 * 1024

_LENGTH = struct.Struct(">I")
_PIECE = 1024 * 1024


class LaunchRequest(NamedTuple):
    """A job to start; `env` is its whole environment, `timeout`, `grace` and
    `start_timeout`, how long init may take to execute the command, are seconds.

    Without a `cgroup` there are no limits, without a `sandbox` no walls. `slot` tells which id range
    the sandbox has.
    """

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
    start_timeout: float
    cgroup: CgroupPlan | None = None
    sandbox: Sandbox | None = None
    slot: int | None = None


class Report(NamedTuple):
    """What became of a launch: a run record, or the step that failed and its errno(3).

    The step of a bind is followed by a colon and the bind's place in the sandbox.
    With `monitor` and no job it is a monitor's word that it is there: its pid and its start time.
    """

    job_id: str
    run: RunRecord | None = None
    failed_step: str | None = None
    errno: int | None = None
    monitor: tuple[int, int] | None = None


def encode_request(request: LaunchRequest) -> bytes:
    """Return the request with its length in front; raises ValueError if it is too long or not valid UTF-8."""
    body = json.dumps(request._asdict(), ensure_ascii=False, separators=(",", ":")).encode()
    if len(body) > MAX_REQUEST:
        raise ValueError(f"a request of {len(body)} bytes is longer than {MAX_REQUEST}")
    return _LENGTH.pack(len(body)) + body


def receive_request(link: int) -> LaunchRequest | None:
    """Read one request, waiting for all of it; None if the server is gone, in the middle of it too.

    Raises ValueError for one longer than MAX_REQUEST.
    """
    head = _read(link, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_REQUEST:
        raise ValueError(f"a request of {length} bytes is longer than {MAX_REQUEST}")
    body = _read(link, length)
    if body is None:
        return None
    fields: dict[str, Any] = json.loads(body)
    fields["argv"] = tuple(fields["argv"])
    fields["cgroup"] = fields["cgroup"] and plan_from_json(fields["cgroup"])
    fields["sandbox"] = fields["sandbox"] and Sandbox.from_fields(fields["sandbox"])
    return LaunchRequest(**fields)


def encode_report(report: Report) -> bytes:
    """Return the report as one line."""
    fields = report._asdict()
    fields["run"] = report.run and report.run._asdict()
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def decode_report(line: bytes) -> Report:
    """Return the report in a line."""
    fields = json.loads(line)
    fields["run"] = fields["run"] and RunRecord(**fields["run"])
    fields["monitor"] = fields["monitor"] and tuple(fields["monitor"])
    return Report(**fields)


def send_report(link: int, report: Report) -> None:
    """Send a report, which always finds room: the server sends nothing new before it has read the last one.

    A server that is gone hears nothing.
    """
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        os.write(link, encode_report(report))


def _read(link: int, size: int) -> bytes | None:
    pieces = []
    while size:
        try:
            piece = os.read(link, min(size, _PIECE))
        except ConnectionResetError:
            return None
        if not piece:
            return None
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
