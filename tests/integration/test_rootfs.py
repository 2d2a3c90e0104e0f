"""Root file systems over the wire, as people, programs and strangers see them."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest

from jsched.client import AsyncClient
from jsched.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied
from jsched.v1 import rootfs_pb2 as pb
from jsched.v1.rootfs_pb2_grpc import RootfsServiceStub
from tests.helpers import calls
from tests.helpers.archives import digest, docker_archive, member, small, tar
from tests.helpers.server import Server
from tests.helpers.trail import ended_calls
from tests.helpers.trees import names
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(300)

MEBIBYTE = 1024 * 1024


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A small good archive."""
    path = tmp_path / "small.tar.gz"
    path.write_bytes(gzip.compress(small()))
    return path


@pytest.fixture
def stub(server: Server) -> Iterator[Any]:
    """RootfsService's plain stub as admin."""
    with calls.channel(server) as channel:
        yield RootfsServiceStub(channel)  # type: ignore[no-untyped-call]


def rootfs_dir(server: Server) -> Path:
    return server.data_dir / "rootfs"


def kept(server: Server) -> set[str]:
    """Return all that the server has of root file systems and uploads."""
    return {str(path.relative_to(rootfs_dir(server))) for path in rootfs_dir(server).glob("*/*")}


def audited(server: Server) -> list[dict[str, Any]]:
    return [line for line in ended_calls(server) if "RootfsService" in line["method"]]


def parts(content: bytes, name: str = "it", **fields: Any) -> list[pb.UploadRootfsRequest]:
    """Return the messages of a whole upload."""
    header: dict[str, Any] = {"name": name, "digest": digest(content), "size": len(content)} | fields
    return [
        pb.UploadRootfsRequest(header=pb.RootfsUploadHeader(**header)),
        *(pb.UploadRootfsRequest(data=content[at : at + 1000]) for at in range(0, len(content), 1000)),
    ]


def test_from_upload_to_deletion_at_a_shell(server: Server, archive: Path) -> None:
    """upload, list and delete do what they say, for people and as JSON."""
    done = server.cli("rootfs", "upload", "--file", str(archive), "--name", "alpine", text=True)
    name = digest(archive.read_bytes())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Rootfs: alpine uploaded, digest {name}\n"
    assert names(rootfs_dir(server) / name) == {"usr", "usr/bin", "usr/bin/tool", "usr/bin/same", "bin"}
    lines = server.cli("rootfs", "list", text=True).stdout.splitlines()
    assert lines[0].split() == ["NAME", "DIGEST", "SIZE", "UPLOADED", "BY", "AGE", "USED", "BY"]
    assert re.fullmatch(rf"alpine  {name[:12]}  10 B  admin        \S+  -", lines[1])
    (listed,) = json.loads(server.cli("rootfs", "list", "-o", "json").stdout)
    assert listed | {"uploaded_at": ""} == {
        "name": "alpine",
        "digest": name,
        "size": 10,
        "entries": 6,
        "uploaded_by": "admin",
        "uploaded_at": "",
        "used_by": [],
    }
    done = server.cli("rootfs", "delete", "alpine", text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Rootfs: alpine deleted\n", "")
    assert json.loads(server.cli("rootfs", "list", "-o", "json").stdout) == []
    assert kept(server) == set()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["upload", "--file", "/no/such", "--name", "a"], 1, "/no/such: No such file or directory"),
        (["upload", "--file", "/tmp", "--name", "a"], 1, "/tmp: Is a directory"),
        (["upload", "--file", "/dev/null", "--name", "a"], 1, "/dev/null is empty"),
        (["upload", "--file", "/etc/passwd", "--name", "A/b"], 1, "name 'A/b' is not"),
        (["upload", "--file", "/etc/passwd", "--name", "a"], 1, "this is not a tar archive"),
        (["upload", "--name", "a"], 2, "missing argument: -f/--file"),
        (["delete", "none"], 1, "no root file system 'none'"),
        (["delete"], 2, "missing argument: NAME"),
        (["remove", "x"], 2, 'unknown command "rootfs remove"'),
    ],
)
def test_what_goes_wrong_is_said(shared_server: Server, words: list[str], code: int, message: str) -> None:
    """Each mistake has its exit code and one sentence that says what it is."""
    done = shared_server.cli("rootfs", *words, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


def test_a_refusal_names_the_member_and_is_audited(server: Server, tmp_path: Path) -> None:
    """A bad archive is refused with member and reason, which the audit has too, and leaves nothing behind."""
    bad = tmp_path / "bad.tar"
    bad.write_bytes(tar(member("ok", b"x"), member("../\x1b[31mpasswd\n", b"x")))
    done = server.cli("rootfs", "upload", "--file", str(bad), "--name", "bad", text=True)
    reason = "the archive is refused: member 2 '../\\u001b[31mpasswd\\u000a': its name has a '..'"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {reason}\n")
    line = audited(server)[-1]
    assert line["method"] == "/jsched.v1.RootfsService/UploadRootfs"
    assert (line["rootfs"], line["user"], line["decision"]) == ("bad", "admin", "allow")
    assert (line["status"], line["reason"]) == ("INVALID_ARGUMENT", reason)
    assert kept(server) == set()


def test_a_user_may_upload_and_not_delete(server: Server, archive: Path) -> None:
    """role user uploads and lists; to delete is refused, what is its own too, and audited."""
    server.client().rootfs.upload(archive, "alpine")
    client = server.client("user")
    assert client.rootfs.upload(archive, "mine").uploaded_by == "user"
    for name in ("alpine", "mine"):
        with pytest.raises(PermissionDenied, match="role user may not delete root file systems"):
            client.rootfs.delete(name)
    denied = [line["rule"] for line in audited(server) if line["decision"] == "deny"]
    assert denied == ["role user has no verb rootfs delete"] * 2
    assert {rootfs.name for rootfs in client.rootfs.list()} == {"alpine", "mine"}


def test_the_blocking_client(server: Server, archive: Path, tmp_path: Path) -> None:
    """Client.rootfs gives values, and errors of the right type."""
    client = server.client()
    seen: list[tuple[int, int]] = []
    rootfs = client.rootfs.upload(str(archive), "alpine", on_progress=lambda *progress: seen.append(progress))
    size = archive.stat().st_size
    assert seen == [(0, size), (size, size)]
    assert client.rootfs.list() == [rootfs]
    assert client.rootfs.upload(archive, "alpine") == rootfs
    other = tmp_path / "other.tar"
    other.write_bytes(docker_archive([small()]))
    with pytest.raises(AlreadyExists):
        client.rootfs.upload(other, "alpine")
    assert client.rootfs.delete("alpine") == rootfs
    with pytest.raises(NotFound):
        client.rootfs.delete("alpine")
    with pytest.raises(InvalidArgument):
        client.rootfs.delete("../alpine")


def test_the_asyncio_client(server: Server, archive: Path) -> None:
    """AsyncClient.rootfs does the same, awaited."""

    async def body() -> None:
        async with AsyncClient(calls.config(server)) as client:
            rootfs = await client.rootfs.upload(archive, "alpine")
            assert await client.rootfs.list() == [rootfs]
            with pytest.raises(InvalidArgument, match="not a tar"):
                await client.rootfs.upload("/etc/passwd", "passwd")
            assert await client.rootfs.delete("alpine") == rootfs
            assert await client.rootfs.list() == []

    calls.run(body())


def test_an_upload_outlives_the_server(server: Server, tmp_path: Path) -> None:
    """With the server killed in the middle, the upload goes on by itself at the byte where it was."""
    path = tmp_path / "large.tar"
    path.write_bytes(tar(member("random", os.urandom(32 * MEBIBYTE))))
    client = server.client()
    half, killed = threading.Event(), threading.Event()
    seen: list[int] = []

    def on_progress(sent: int, total: int) -> None:
        seen.append(sent)
        if sent > total // 2 and not half.is_set():
            half.set()
            killed.wait(30)

    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(client.rootfs.upload, path, "large", on_progress=on_progress)
        assert half.wait(30)
        server.kill()
        killed.set()
        server.start()
        rootfs = upload.result(60)
    assert rootfs.size == 32 * MEBIBYTE
    again = next(after for before, after in pairwise(seen) if after <= before)
    assert again > 0, f"it began anew: {seen}"
    assert (rootfs_dir(server) / rootfs.digest / "random").stat().st_size == rootfs.size
    assert not list((rootfs_dir(server) / ".uploads").iterdir())


def test_what_a_killed_server_was_unpacking_is_unpacked_by_the_next(server: Server, tmp_path: Path) -> None:
    """A server that is killed while it unpacks leaves no tree, no process, and no byte to send again."""
    path = tmp_path / "many.tar"
    header = member("f", b"")[0].tobuf()
    path.write_bytes(header * 40_000 + bytes(1024))
    client = server.client()
    staging = rootfs_dir(server) / ".staging"
    seen: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(client.rootfs.upload, path, "many", on_progress=lambda sent, _: seen.append(sent))
        wait_until(lambda: any(staging.glob("*/f")), 30, "the first unpacked file")
        server.kill()
        server.start()
        assert upload.result(60).entries == 40_000
    assert seen[-1] == seen[-2] == path.stat().st_size, "the archive was sent again"
    assert not list(staging.iterdir())


def _of_uploads(server: Server) -> list[dict[str, Any]]:
    return [line for line in audited(server) if line["method"].endswith("/UploadRootfs")]


def test_an_upload_that_its_client_leaves_can_be_gone_on_with(server: Server, stub: Any) -> None:
    """A call that is cancelled in the middle is audited, and another client goes on where it was."""
    content = tar(member("random", os.urandom(50_000)))
    messages = parts(content)
    gone = threading.Event()

    def first() -> Iterator[pb.UploadRootfsRequest]:
        yield from messages[:21]
        gone.wait(30)

    call = stub.UploadRootfs.future(first())
    ask = pb.GetRootfsUploadRequest(digest=digest(content))
    wait_until(lambda: stub.GetRootfsUpload(ask).offset == 20_000, 20, "the first 20 messages")
    call.cancel()
    gone.set()
    (line,) = wait_until(lambda: _of_uploads(server), 20, "the audit's line")
    # To the server a client that leaves may look like one that has said all it had to say.
    assert line["status"] == "CANCELLED" or line["reason"] == f"the upload ended after 20000 of {len(content)} bytes"
    assert stub.GetRootfsUpload(ask) == pb.GetRootfsUploadResponse(offset=20_000)
    rest = [*parts(content, offset=20_000)[:1], *messages[21:]]
    assert stub.UploadRootfs(iter(rest), timeout=calls.DEADLINE).rootfs.size == 50_000
    assert stub.GetRootfsUpload(ask) == pb.GetRootfsUploadResponse(complete=True)


def test_root_file_systems_outlive_the_server(server: Server, archive: Path) -> None:
    """A server that is killed knows them again, and deletes them as well."""
    rootfs = server.client().rootfs.upload(archive, "alpine")
    server.kill()
    server.start()
    assert server.client().rootfs.list() == [rootfs]
    server.client().rootfs.delete("alpine")
    assert kept(server) == set()


@pytest.mark.parametrize(
    ("messages", "code", "message"),
    [
        ([], grpc.StatusCode.INVALID_ARGUMENT, "has no header"),
        ([pb.UploadRootfsRequest()], grpc.StatusCode.INVALID_ARGUMENT, "has no header"),
        ([pb.UploadRootfsRequest(data=b"x")], grpc.StatusCode.INVALID_ARGUMENT, "has no header"),
        (parts(small())[:1] * 2, grpc.StatusCode.INVALID_ARGUMENT, "a message of an upload has no data"),
        (parts(small(), name="../x"), grpc.StatusCode.INVALID_ARGUMENT, "name '../x' is not"),
        (parts(small(), digest="../../etc"), grpc.StatusCode.INVALID_ARGUMENT, "digest is not a SHA-256"),
        (parts(small(), digest="a" * 64), grpc.StatusCode.INVALID_ARGUMENT, "what has arrived has the digest"),
        (parts(small(), size=0), grpc.StatusCode.INVALID_ARGUMENT, "size is 0"),
        (parts(small(), size=2**63), grpc.StatusCode.RESOURCE_EXHAUSTED, "are allowed"),
        (parts(small(), offset=5), grpc.StatusCode.OUT_OF_RANGE, "0 bytes of this archive have arrived"),
        (parts(small(), offset=2**63), grpc.StatusCode.OUT_OF_RANGE, "0 bytes of this archive have arrived"),
        (parts(small(), size=5), grpc.StatusCode.INVALID_ARGUMENT, "more bytes came"),
    ],
)
def test_odd_uploads_are_refused(
    server: Server, stub: Any, messages: list[pb.UploadRootfsRequest], code: grpc.StatusCode, message: str
) -> None:
    """Messages in another order, with other content, or out of range: one clear sentence, and nothing is kept."""
    answer = calls.refused(stub.UploadRootfs, iter(messages))
    assert answer.code == code
    assert message in answer.message
    assert kept(server) == set()


def test_a_message_that_cannot_be_decoded_is_refused(server: Server) -> None:
    """Bytes that are no message, first or later, are INVALID_ARGUMENT and no defect of the server."""
    with calls.channel(server) as channel:
        raw: Any = channel.stream_unary("/jsched.v1.RootfsService/UploadRootfs")
        for messages in ([b"\xff\xff"], [parts(small())[0].SerializeToString(), b"\xff\xff"]):
            assert calls.failed(raw, iter(messages)).code() in (
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.INTERNAL,
                grpc.StatusCode.CANCELLED,
            )
    assert server.client().rootfs.list() == []
    assert "Traceback" not in server.printed()


def test_a_bar_is_drawn_on_a_terminal(server: Server, archive: Path) -> None:
    """On a terminal an upload shows how far it is, and nothing of that is left at the end."""
    ours, theirs = pty.openpty()
    try:
        process = server.popen_cli(
            *("rootfs", "upload", "--file", str(archive), "--name", "alpine"), stderr=theirs, stdout=theirs
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:
                break
            if not data:
                break
            shown += data
        assert process.wait(30) == 0
    finally:
        os.close(ours)
    assert b"100%  unpacking" in shown
    assert shown.rpartition(b"\x1b[K")[2].startswith(b"Rootfs: alpine uploaded")
