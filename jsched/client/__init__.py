"""jsched from afar: `Client` and `AsyncClient` do over gRPC what `jsched.Engine` does in place.

Names are loaded when they are first used: a command that makes one call must not pay for both clients.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsched.client.aio import AsyncClient, AsyncOutputStream
    from jsched.client.diagnosis import NotConnected
    from jsched.client.settings import ClientConfig, load
    from jsched.client.sync import Client, OutputStream
    from jsched.job import Chunk

__all__ = [
    "AsyncClient",
    "AsyncOutputStream",
    "Chunk",
    "Client",
    "ClientConfig",
    "NotConnected",
    "OutputStream",
    "load",
]

_HOMES = {
    "AsyncClient": "jsched.client.aio",
    "AsyncOutputStream": "jsched.client.aio",
    "Chunk": "jsched.job",
    "Client": "jsched.client.sync",
    "ClientConfig": "jsched.client.settings",
    "NotConnected": "jsched.client.diagnosis",
    "OutputStream": "jsched.client.sync",
    "load": "jsched.client.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jsched.client' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
