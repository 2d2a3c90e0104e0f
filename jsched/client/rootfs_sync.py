"""Root file systems for the blocking client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import grpc

from jsched.client import rootfs
from jsched.client.errors import translate
from jsched.client.retry import OnReconnect
from jsched.client.rootfs import OnProgress, Upload
from jsched.rootfs import Rootfs
from jsched.v1.rootfs_pb2_grpc import RootfsServiceStub

if TYPE_CHECKING:
    from jsched.client.sync import Client


class RootfsCalls:
    """`Client.rootfs`: upload, list and delete root file systems."""

    def __init__(self, client: Client, channel: grpc.Channel) -> None:
        self._client = client
        self._stub: Any = RootfsServiceStub(channel)  # type: ignore[no-untyped-call]

    def upload(
        self,
        path: str | os.PathLike[str],
        name: str,
        *,
        on_progress: OnProgress | None = None,
        on_reconnect: OnReconnect | None = None,
    ) -> Rootfs:
        """Upload an archive, and return the root file system once it has been unpacked.

        What an earlier upload of the same archive has sent is not sent again, whatever it was
        cut off by. `on_progress(sent, size)`, in bytes, is called from a thread of gRPC's.
        Raises InvalidArgument with the member and the reason if the archive is not taken.
        """
        upload = Upload(path, name, on_progress)
        try:
            return self._upload(upload, on_reconnect)
        finally:
            upload.close()

    def list(self) -> list[Rootfs]:
        """Return all root file systems, ordered by name."""
        answer = self._client._call(self._stub.ListRootfs, rootfs.list_rootfs())
        return [rootfs.decode(message) for message in answer.rootfs]

    def delete(self, name: str) -> Rootfs:
        """Remove a root file system and return what it was; raises FailedPrecondition while jobs run in it."""
        return rootfs.decode(self._client._call(self._stub.DeleteRootfs, rootfs.delete(name), again=False).rootfs)

    def _upload(self, upload: Upload, on_reconnect: OnReconnect | None) -> Rootfs:
        client = self._client
        patience = client._patience()
        while True:
            patience.begins()
            client._check_open()
            try:
                position = self._stub.GetRootfsUpload(rootfs.upload_position(upload.archive.digest))
                client._known = True
                if upload.advanced(position.offset):
                    patience.succeeded()
                answer = self._stub.UploadRootfs(upload.messages(position.offset, position.complete))
            except grpc.RpcError as error:
                if upload.error is not None:
                    raise upload.error from None
                problem = translate(error, client.config)
                if not upload.goes_on_after(problem):
                    client._wait_after(problem, patience, on_reconnect)
            else:
                return rootfs.decode(answer.rootfs)
