"""The server's own lines in the audit: that it started, with what, what it has read again, and that it ended."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from jsched.config import Config
from jsched.policy.policy import Policy
from jsched.server.audit import Audit
from jsched.server.policy_source import PolicySource


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
