"""Messages and metadata that are too large: refused, with the limit's name, and at no great cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.errors import ResourceExhausted
from jsched.job import JobSpec
from jsched.v1 import jobs_pb2 as pb
from jsched.v1 import rootfs_pb2
from tests.helpers import calls
from tests.helpers.calls import DEADLINE, failed, refused
from tests.helpers.server import Server
from tests.helpers.trail import ended_calls
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(60)

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
MIB = 1024 * 1024
BOMB = 200 * MIB
MOST_GROWTH = 64 * MIB


@pytest.fixture(scope="module")
def channel(shared_server: Server) -> Iterator[grpc.Channel]:
    """One connection for all: what is refused must not harm it."""
    with calls.channel(shared_server) as channel:
        yield channel


@pytest.fixture(autouse=True)
def goes_on(channel: grpc.Channel) -> Iterator[None]:
    """After each test the connection serves as before."""
    yield
    calls.stub(channel).ListJobs(pb.ListJobsRequest(page_size=1), timeout=DEADLINE)


def start(size: int) -> pb.StartJobRequest:
    """Return a start whose arguments have so many bytes."""
    return pb.StartJobRequest(argv=["echo", "x" * size])


def with_metadata(channel: grpc.Channel, metadata: list[tuple[str, str]]) -> Any:
    """Return a call that is made with this metadata."""
    method = calls.stub(channel).ListJobs
    return lambda request, timeout: method(request, timeout=timeout, metadata=metadata)


@pytest.mark.parametrize("request_", [start(5 * MIB), pb.StartJobRequest(argv=["echo", *["x" * 100_000] * 42])])
def test_a_message_that_is_too_large(channel: grpc.Channel, request_: pb.StartJobRequest) -> None:
    """A request of more than max_message_size is refused with both numbers and the limit's name."""
    refusal = refused(calls.stub(channel).StartJob, request_)
    assert (refusal.code, refusal.reason) == (EXHAUSTED, "RESOURCE_EXHAUSTED")
    assert refusal.message == (
        f"the request has {request_.ByteSize()} bytes, more than max_message_size, which is 4194304"
    )
    assert refusal.metadata["object"] == "max_message_size"


def test_a_piece_of_an_upload_that_is_too_large(channel: grpc.Channel) -> None:
    """The limit holds for each message of an upload, too."""
    upload: Any = channel.stream_unary("/jsched.v1.RootfsService/UploadRootfs")
    piece = rootfs_pb2.UploadRootfsRequest(data=b"x" * (5 * MIB)).SerializeToString()
    refusal = refused(lambda pieces, timeout: upload(iter(pieces), timeout=timeout), [piece])
    assert (refusal.code, refusal.metadata["object"]) == (EXHAUSTED, "max_message_size")


def test_a_message_that_is_far_too_large(shared_server: Server, channel: grpc.Channel) -> None:
    """What gRPC refuses by itself has the same status, and jsched's own client says which limit it is."""
    error = failed(calls.stub(channel).StartJob, start(20 * MIB))
    assert isinstance(error, grpc.Call)
    assert error.code() is EXHAUSTED
    with pytest.raises(ResourceExhausted, match="max_message_size") as caught:
        shared_server.client().start(JobSpec(["echo", "x" * (20 * MIB)]))
    assert caught.value.obj == "max_message_size"


def test_a_message_that_is_small_when_compressed(shared_server: Server, channel: grpc.Channel) -> None:
    """200 MiB that gzip made small are refused without being unpacked."""

    def peak() -> int:
        status = Path(f"/proc/{shared_server.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    Path(f"/proc/{shared_server.pid}/clear_refs").write_text("5")
    before = peak()
    call: Any = channel.unary_unary("/jsched.v1.JobService/StartJob")
    content = b"\x0a\x80\x80\x80\x64" + bytes(BOMB)
    assert pb.StartJobRequest.FromString(content).argv[0] == "\0" * BOMB
    error = failed(lambda request, timeout: call(request, timeout=timeout, compression=grpc.Compression.Gzip), content)
    assert isinstance(error, grpc.Call)
    assert (error.code(), error.details()) == (EXHAUSTED, "Decompressed message larger than max")
    assert peak() - before < MOST_GROWTH


@pytest.mark.parametrize("metadata", [[("x-large", "y" * 20_000)], [(f"x-{n}", "y") for n in range(600)]])
def test_metadata_that_is_too_large(channel: grpc.Channel, metadata: list[tuple[str, str]]) -> None:
    """Metadata of more than max_metadata_size, one large or many small, is refused with the limit's name."""
    refusal = refused(with_metadata(channel, metadata), pb.ListJobsRequest())
    assert (refusal.code, refusal.metadata["object"]) == (EXHAUSTED, "max_metadata_size")
    assert refusal.message.startswith("the call's metadata has 2")
    assert refusal.message.endswith(" bytes, more than max_metadata_size, which is 16384")


def test_metadata_that_is_far_too_large(channel: grpc.Channel) -> None:
    """Metadata that gRPC refuses by itself has the same status."""
    error = failed(with_metadata(channel, [("x-large", "y" * 200_000)]), pb.ListJobsRequest())
    assert isinstance(error, grpc.Call)
    assert error.code() is EXHAUSTED


def test_metadata_of_an_unknown_method(channel: grpc.Channel) -> None:
    """The limit holds before it is known whether there is such a method."""
    call: Any = channel.unary_unary("/jsched.v1.JobService/PauseJob")
    metadata = [("x-large", "y" * 20_000)]
    refusal = refused(lambda request, timeout: call(request, timeout=timeout, metadata=metadata), b"")
    assert refusal.code is EXHAUSTED


def test_what_is_refused_for_its_size_is_in_the_audit(shared_server: Server, channel: grpc.Channel) -> None:
    """A request that is too large has its line, with who sent it and why it was refused."""
    refused(calls.stub(channel).StartJob, start(6 * MIB))
    found = [line for line in ended_calls(shared_server) if f"has {start(6 * MIB).ByteSize()} bytes" in line["reason"]]
    assert [(line["user"], line["status"]) for line in found] == [("admin", "RESOURCE_EXHAUSTED")]


def test_what_grpc_refuses_for_its_size_is_in_the_audit(shared_server: Server, channel: grpc.Channel) -> None:
    """A request that gRPC itself refuses has its line, with who sent it."""
    before = len(ended_calls(shared_server))
    failed(calls.stub(channel).StartJob, start(20 * MIB))
    (line,) = wait_until(lambda: ended_calls(shared_server)[before:], calls.DEADLINE, "the call's line")
    assert (line["user"], line["verb"], line["reason"]) == ("admin", "start", "the call has no request")
