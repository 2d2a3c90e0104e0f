"""JobService's plain stub, with nothing of jsched's client between the test and the wire."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from jsched.client.connection import open_channel
from jsched.client.settings import ClientConfig, load
from jsched.v1 import jobs_pb2 as pb
from jsched.v1 import jobs_pb2_grpc
from tests.helpers.server import Server

T = TypeVar("T")

# Seconds: longer than anything takes that is not stuck.
DEADLINE = 30.0
_TRACES = re.compile(r"Traceback|File \"|\n|\b[A-Z]\w*(Error|Exception|Warning)\b|<class|object at 0x|None\b|\.py\b")


@dataclass(frozen=True)
class Refusal:
    """What a refused call was answered: its status and google.rpc.ErrorInfo."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]


def config(server: Server, who: str = "admin") -> ClientConfig:
    """Return what a client needs to be `who` at this server."""
    return load({"config": server.certs / f"{who}.toml", "server": server.address}, environ={})


def channel(server: Server, who: str = "admin") -> grpc.Channel:
    """Return a connection of its own; the caller closes it."""
    return open_channel(config(server, who))


def stub(connection: grpc.Channel) -> Any:
    """Return JobService's stub."""
    return jobs_pb2_grpc.JobServiceStub(connection)  # type: ignore[no-untyped-call]


def refused(method: Callable[..., Any], request: Any, timeout: float = DEADLINE) -> Refusal:
    """Make a call that has to be refused by jsched's own code, in one clear sentence, and return how."""
    error = failed(method, request, timeout)
    assert isinstance(error, grpc.Call)
    message = error.details() or ""
    assert_clear(message)
    status = rpc_status.from_call(error)
    assert status is not None, f"no google.rpc.Status came with {error.code()}: {message}"
    assert len(status.details) == 1
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info), "the detail is no google.rpc.ErrorInfo"
    assert info.domain == "jsched"
    assert_clear(info.metadata.get("hint", "give more"))
    code: grpc.StatusCode = error.code()
    return Refusal(code, message, info.reason, dict(info.metadata))


def failed(method: Callable[..., Any], request: Any, timeout: float = DEADLINE) -> grpc.RpcError:
    """Make a call that has to fail, unary or streaming, and return its error."""
    try:
        answer = method(request, timeout=timeout)
        if isinstance(answer, grpc.Call):
            answer = list(answer)  # type: ignore[call-overload]
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"the call was not refused, but answered: {answer}")


def assert_clear(message: str) -> None:
    """Check that a message is one sentence for people: not empty, no full stop, nothing of Python's."""
    assert message, "there is no message"
    assert not message.endswith("."), message
    assert not _TRACES.search(message), message
    assert len(message) < 500, message


def whole(messages: Iterable[Any], offset: int = 0) -> tuple[bytes, Any]:
    """Return a stream's bytes and the job of its last message (None if it has none).

    Each message has to go on where the one before ended, and none but the last may have `ended`.
    """
    data = bytearray()
    ended = None
    for message in messages:
        assert isinstance(message, pb.StreamOutputResponse)
        assert ended is None, "a message came after the last one"
        assert message.offset == offset + len(data)
        data += message.data
        if message.HasField("ended"):
            ended = message.ended
    return bytes(data), ended


def run(test: Coroutine[Any, Any, T], timeout: float = 60.0) -> T:
    """Run a coroutine in a loop of its own, for at most `timeout` seconds."""
    return asyncio.run(asyncio.wait_for(test, timeout))
