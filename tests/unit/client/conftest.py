"""A real gRPC server over TLS whose answers the test writes down, for what no right server would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.client import ClientConfig
from jsched.v1 import jobs_pb2 as pb
from jsched.v1.jobs_pb2_grpc import JobServiceServicer, add_JobServiceServicer_to_server

Answer = Callable[[Any, grpc.ServicerContext], Any]


class Scripted(JobServiceServicer):
    """Answers each call with the next function of `script`, and notes every request."""

    def __init__(self, certs: Path) -> None:
        self.certs = certs
        self.script: list[Answer] = []
        self.requests: list[Any] = []
        self.port = 0
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Serve, on the port of the time before if there was one."""
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        add_JobServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        read = {name: (self.certs / name).read_bytes() for name in ("server.key", "server.crt", "client-ca.crt")}
        credentials = grpc.ssl_server_credentials(
            [(read["server.key"], read["server.crt"])], read["client-ca.crt"], require_client_auth=True
        )
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        assert self.port, "the port is taken"
        self._server.start()

    def stop(self) -> None:
        """Cut every call and connection."""
        if self._server is not None:
            self._server.stop(0).wait(10)

    def config(self, reconnect_timeout: float = 20.0, who: str = "admin") -> ClientConfig:
        """Return the configuration of a client of this server."""
        return ClientConfig(
            f"127.0.0.1:{self.port}",
            self.certs / "server-ca.crt",
            self.certs / f"{who}.crt",
            self.certs / f"{who}.key",
            reconnect_timeout,
        )

    def _answer(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        return self.script.pop(0)(request, context)

    StartJob = StopJob = GetJob = ListJobs = WaitJob = DeleteJob = StreamOutput = _answer


@pytest.fixture
def scripted(certs: Path) -> Iterator[Scripted]:
    """A scripted server, started."""
    server = Scripted(certs)
    server.start()
    yield server
    server.stop()


JOB_ID = "11111111-2222-4333-8444-555555555555"


def job_message(**fields: Any) -> pb.Job:
    """Return the smallest message that is a job, with `fields` set."""
    message = pb.Job(job_id=JOB_ID, argv=["true"], state=pb.JOB_STATE_RUNNING, owner="alice", log_path="/l", **fields)
    message.created_at.FromJsonString("2026-01-02T03:04:05.678901Z")
    message.grace.FromJsonString("10s")
    return message


def ended_message(exit_code: int = 0) -> pb.Job:
    """Return a job that has ended by itself."""
    message = job_message(exit_code=exit_code)
    message.state = pb.JOB_STATE_COMPLETED
    return message


def piece(offset: int, data: bytes = b"", *, ended: bool = False) -> pb.StreamOutputResponse:
    """Return a message of a stream."""
    return pb.StreamOutputResponse(offset=offset, data=data, ended=ended_message() if ended else None)


def stream_of(*pieces: pb.StreamOutputResponse, then: grpc.StatusCode | None = None) -> Answer:
    """Return an answer that sends `pieces`, and then ends well or with a status."""

    def answer(request: Any, context: grpc.ServicerContext) -> Iterator[pb.StreamOutputResponse]:
        yield from pieces
        if then is not None:
            context.abort(then, "as scripted")

    return answer


def refuse(code: grpc.StatusCode, details: str = "as scripted") -> Answer:
    """Return an answer that is a status."""

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(code, details)

    return answer


def give(message: Any) -> Answer:
    """Return an answer that is a message."""
    return lambda request, context: message
