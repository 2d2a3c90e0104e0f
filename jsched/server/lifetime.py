"""The server's own lines in the audit: that it started, with what, what it has read again, and that it ended."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from jsched.audit.line import command_line, timestamp
from jsched.config import Config
from jsched.engine import Engine
from jsched.policy.policy import Policy
from jsched.server.audit import Audit
from jsched.server.policy_source import PolicySource

_PAGE = 1000


async def note_start(audit: Audit, config: Config, policy: Policy, address: str) -> None:
    """Write the line that the server serves from now on, on `address`."""
    await audit.event(
        "server_start",
        version=metadata.version("jsched"),
        listen=address,
        config=digest(config),
        policy=policy.source,
        policy_digest=policy.digest,
    )


async def note_unrecorded_starts(audit: Audit, engine: Engine) -> None:
    """Write a line for each job that the server before has started, if it was killed before it wrote the call's own.

    To be done before `note_start`: as long as that has no line, the next server does it again.
    """
    killed = await audit.last_killed()
    if killed is None:
        return
    token = ""
    while True:
        page = await engine.list(page_size=_PAGE, page_token=token)
        for job in page.jobs:
            # A line has milliseconds.
            if job.created_at < killed.began:
                return
            if job.id not in killed.jobs:
                created = timestamp(job.created_at.timestamp())
                await audit.event(
                    "start_unrecorded", user=job.owner, job=job.id, created=created, **command_line(job.spec.argv)
                )
        token = page.next_page_token
        if not token:
            return


async def note_stop(audit: Audit, reason: str) -> None:
    """Write the line that the server ends; `reason` is why."""
    await audit.event("server_stop", reason=reason)


async def reload_policy(audit: Audit, policies: PolicySource) -> None:
    """Read the policy again, and write the line that it holds now, or why it does not."""
    error = await policies.reload()
    policy = policies.policy
    reason = "" if error is None else error.message
    await audit.event("policy_reload", policy=policy.source, policy_digest=policy.digest, reason=reason)


def digest(config: Config) -> str:
    """Return the SHA-256 of a configuration, the same for the same values wherever they were read."""
    return hashlib.sha256(json.dumps(_plain(config), sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, sets in order and what JSON does not know as text."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(json.dumps(_plain(one), sort_keys=True) for one in value)
    return str(value)
