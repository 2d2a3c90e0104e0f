"""The server's own lines in the audit: that it started, with what, and that it ended."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from jsched.config import Config
from jsched.server.audit import Audit


async def note_start(audit: Audit, config: Config, address: str) -> None:
    """Write the line that the server serves from now on, on `address`."""
    await audit.event("server_start", version=metadata.version("jsched"), listen=address, config=digest(config))


async def note_stop(audit: Audit, reason: str) -> None:
    """Write the line that the server ends; `reason` is why."""
    await audit.event("server_stop", reason=reason)


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
