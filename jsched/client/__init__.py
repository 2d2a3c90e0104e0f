"""jsched from afar: `Client` and `AsyncClient` do over gRPC what `jsched.Engine` does in place."""

from __future__ import annotations

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
