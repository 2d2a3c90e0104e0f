from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.client import Client, ClientConfig
from jsched.client.rootfs import Upload
from jsched.errors import InvalidArgument, OutOfRange, Unavailable
from jsched.v1 import rootfs_pb2 as pb
from jsched.v1.rootfs_pb2_grpc import RootfsServiceServicer, add_RootfsServiceServicer_to_server

CONTENT = bytes(range(256)) * 8192


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of 2 MiB."""
    path = tmp_path / "archive"
    path.write_bytes(CONTENT)
    return path


def data(messages: Iterator[Any]) -> bytes:
    return b"".join(message.data for message in messages)


def test_messages_begin_with_the_header_and_go_on_at_the_offset(file: Path) -> None:
    """The header says all that is known of the file, and the data is that from the offset on, in pieces."""
    seen: list[tuple[int, int]] = []
    upload = Upload(file, "a", lambda *progress: seen.append(progress))
    header, *rest = upload.messages(1000, False)
    assert header.header == pb.RootfsUploadHeader(
        name="a", digest=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT), offset=1000
    )
    assert data(iter(rest)) == CONTENT[1000:]
    assert max(len(message.data) for message in rest) == 1024 * 1024
    assert seen[0] == (1000, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    upload.close()


def test_nothing_is_sent_of_what_is_there(file: Path) -> None:
    """If the server has the tree, the header is all."""
    upload = Upload(file, "a", None)
    assert len(list(upload.messages(0, True))) == 1
    upload.close()


def test_a_file_that_shrinks_is_noticed(file: Path) -> None:
    """What the file lost while it was sent is the upload's error, and not the connection's."""
    upload = Upload(file, "a", None)
    with file.open("r+b") as writer:
        writer.truncate(1000)
    with pytest.raises(InvalidArgument, match="has become shorter"):
        data(upload.messages(0, False))
    assert upload.error is not None
    upload.close()


def test_an_answer_that_comes_late_is_asked_for_again_but_not_for_ever(file: Path) -> None:
    """Another position than the server has just told is taken five times; other errors are for whoever decides."""
    upload = Upload(file, "a", None)
    assert [upload.goes_on_after(OutOfRange("elsewhere")) for _ in range(6)] == [True] * 5 + [False]
    upload.close()
    other = Upload(file, "a", None)
    assert not other.goes_on_after(Unavailable("gone"))
    assert [other.advanced(offset) for offset in (0, 0, 5, 3, 6)] == [True, False, True, False, True]
    other.close()


class Wavering(RootfsServiceServicer):
    """Says where an upload stands, and is further when it comes."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def GetRootfsUpload(self, request: Any, context: grpc.ServicerContext) -> pb.GetRootfsUploadResponse:
        """Tell a position, each time a later one."""
        return pb.GetRootfsUploadResponse(offset=len(self.offsets) * 1000)

    def UploadRootfs(self, requests: Iterator[Any], context: grpc.ServicerContext) -> pb.UploadRootfsResponse:
        """Take the third attempt."""
        self.offsets.append(next(requests).header.offset)
        if len(self.offsets) < 3:
            context.abort(grpc.StatusCode.OUT_OF_RANGE if len(self.offsets) == 1 else grpc.StatusCode.UNAVAILABLE, "no")
        assert data(requests) == CONTENT[self.offsets[-1] :]
        return pb.UploadRootfsResponse(rootfs=pb.Rootfs(name="a", size=7))


def test_an_upload_goes_on_until_it_is_there(file: Path, certs: Path) -> None:
    """After another position and a server that is not there for a moment, the third attempt is the rest."""
    service = Wavering()
    server = grpc.server(ThreadPoolExecutor(2))
    add_RootfsServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    read = {name: (certs / name).read_bytes() for name in ("server.key", "server.crt", "client-ca.crt")}
    port = server.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials(
            [(read["server.key"], read["server.crt"])], read["client-ca.crt"], require_client_auth=True
        ),
    )
    server.start()
    config = ClientConfig(
        f"127.0.0.1:{port}", certs / "server-ca.crt", certs / "admin.crt", certs / "admin.key", reconnect_timeout=20
    )
    try:
        with Client(config) as client:
            assert client.rootfs.upload(file, "a").size == 7
    finally:
        server.stop(0).wait(10)
    assert service.offsets == [0, 1000, 2000]
