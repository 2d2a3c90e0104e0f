"""A server's audit trail, as tests look at it."""

from __future__ import annotations

from typing import Any

from jsched.audit import chain
from tests.helpers.server import Server


def trail(server: Server) -> list[dict[str, Any]]:
    """Return all whole lines of the file that is written."""
    content = (server.data_dir / "audit.jsonl").read_bytes()
    lines = [chain.read(line) for line in content.splitlines(keepends=True)]
    return [line.fields for line in lines if line is not None]


def ended_calls(server: Server) -> list[dict[str, Any]]:
    """Return the lines of calls that are over, one each."""
    return [line for line in trail(server) if line["event"] in ("call", "end")]
