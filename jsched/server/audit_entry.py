"""What the audit trail says of one RPC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jsched.audit.line import body, command_line, names, timestamp


@dataclass(slots=True)
class Entry:
    """What is known of one RPC; filled in while it runs.

    `verb` is the policy's, or the method's bare name for what has none. `time` is when the call
    came in, in seconds since the epoch; `duration_ms` how long it took. `argv` and `env` are a
    start's command line and the names (never the values) in its environment. `status` is the
    name of its gRPC status code; `reason` says why it was refused or failed. `event` is "call",
    or "open" and "end" for the two lines of a stream; the second has the first one's number in
    `opened_seq`, and in `sent` how many bytes of output were sent.
    """

    method: str
    peer: str
    time: float
    event: str = "call"
    user: str = ""
    role: str = ""
    serial: str = ""
    verb: str = ""
    job: str = ""
    rootfs: str = ""
    argv: Sequence[str] | None = None
    env: Sequence[str] = ()
    decision: str = "deny"
    rule: str = ""
    status: str = ""
    reason: str = ""
    duration_ms: float = 0.0
    opened_seq: int | None = None
    sent: int | None = None

    def body(self) -> bytes:
        """Return the entry as the body of a line."""
        fields: dict[str, Any] = {
            "time": timestamp(self.time),
            "event": self.event,
            "user": self.user,
            "role": self.role,
            "serial": self.serial,
            "peer": self.peer,
            "verb": self.verb,
            "method": self.method,
            "job": self.job,
            "rootfs": self.rootfs,
        }
        if self.argv is not None:
            fields |= command_line(self.argv)
            fields["env"] = names(self.env)
        fields |= {
            "decision": self.decision,
            "rule": self.rule,
            "status": self.status,
            "reason": self.reason,
            "duration_ms": round(self.duration_ms, 3),
        }
        if self.opened_seq is not None:
            fields["opened_seq"] = self.opened_seq
        if self.sent is not None:
            fields["sent"] = self.sent
        return body(fields)
