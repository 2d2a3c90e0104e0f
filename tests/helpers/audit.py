"""Writing an audit trail as the server does, and reading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsched.audit.trail import Trail
from jsched.audit.verify import verify
from jsched.audit.walk import Report
from jsched.audit_config import AuditConfig
from jsched.server.audit import Audit, Entry


def entry(job: str = "", **fields: Any) -> Entry:
    return Entry("/jsched.v1.JobService/GetJob", "ipv4:127.0.0.1:4", 1_600_000_000.25, job=job, **fields)


def lines_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in Trail(path).files() for line in file.read_text("ascii").splitlines()]


def jobs_in(path: Path) -> list[str]:
    return [line["job"] for line in lines_in(path) if line["event"] == "call"]


def verified(path: Path) -> Report:
    trail = Trail(path)
    anchor = trail.anchor()
    return verify(trail.files(), [anchor] if anchor else [])


def assert_whole(path: Path) -> None:
    report = verified(path)
    assert report.problems == []
    assert [line["seq"] for line in lines_in(path)] == list(range(1, report.lines + 1))


async def write_all(path: Path, *entries: Entry, config: AuditConfig | None = None) -> None:
    async with Audit(path, config) as audit:
        for each in entries:
            await audit.write(each)
