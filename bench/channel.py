"""Connections of load processes: the generated stubs with nothing above them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

from jsched.client.connection import OPTIONS, credentials
from jsched.client.settings import load

SERVICE = "/jsched.v1.JobService/"


def channel(task: dict[str, Any]) -> grpc.aio.Channel:
    """Return a channel, with a connection of its own, to `task["address"]` as an administrator."""
    settings = load({"config": Path(task["certs"]) / "admin.toml", "server": task["address"]}, environ={})
    return grpc.aio.secure_channel(settings.server, credentials(settings), options=OPTIONS)
