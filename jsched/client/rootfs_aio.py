"""Root file systems for the asyncio client."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc

from jsched.client import rootfs
from jsched.client.errors import translate
from jsched.client.retry import OnReconnect
from jsched.client.rootfs import OnProgress, Upload
from jsched.rootfs import Rootfs
from jsched.v1.rootfs_pb2_grpc import RootfsServiceStub

if TYPE_CHECKING:
    from jsched.client.aio import AsyncClient


class AsyncRootfsCalls:
    """`AsyncClient.rootfs`: the same as `Client.rootfs`, awaited."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._made: Any = None

    async def upload(
        self,
        path: str | os.PathLike[str],
        name: str,
        *,
        on_progress: OnProgress | None = None,
        on_reconnect: OnReconnect | None = None,
    ) -> Rootfs:
        """Upload an archive, and return the root file system; see `Client.rootfs.upload`.

        `on_progress(sent, size)` is called on a thread other than the event loop's.
        """
        upload = await asyncio.to_thread(Upload, path, name, on_progress)
        try:
            return await self._upload(upload, on_reconnect)
        finally:
            upload.close()

    async def list(self) -> list[Rootfs]:
        """Return all root file systems, ordered by name."""
        answer = await self._client._repeat(self._stub.ListRootfs, rootfs.list_rootfs())
        return [rootfs.decode(message) for message in answer.rootfs]

    async def delete(self, name: str) -> Rootfs:
        """Remove a root file system and return what it was; see `Client.rootfs.delete`."""
        answer = await self._client._repeat(self._stub.DeleteRootfs, rootfs.delete(name), again=False)
        return rootfs.decode(answer.rootfs)

    @property
    def _stub(self) -> Any:
        if self._made is None:
            self._made = RootfsServiceStub(self._client._channel)  # type: ignore[no-untyped-call]
        return self._made

    async def _upload(self, upload: Upload, on_reconnect: OnReconnect | None) -> Rootfs:
        client = self._client
        patience = client._patience()
        while True:
            patience.begins()
            client._check_open()
            try:
                position = await self._stub.GetRootfsUpload(rootfs.upload_position(upload.archive.digest))
                client._known = True
                if upload.advanced(position.offset):
                    patience.succeeded()
                answer = await self._stub.UploadRootfs(_messages(upload, position.offset, position.complete))
            except grpc.RpcError as error:
                if upload.error is not None:
                    raise upload.error from None
                # The second look at a connection blocks.
                problem = await asyncio.to_thread(translate, error, client.config)
                if not upload.goes_on_after(problem):
                    await client._wait_after(problem, patience, on_reconnect)
            except asyncio.CancelledError:
                client._check_whose_cancellation()
                raise
            else:
                return rootfs.decode(answer.rootfs)


async def _messages(upload: Upload, offset: int, complete: bool) -> AsyncIterator[Any]:
    messages = upload.messages(offset, complete)
    while (message := await asyncio.to_thread(next, messages, None)) is not None:
        yield message
