"""RootfsService: decode the request, ask the library, encode the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message

from jsched.errors import InvalidArgument
from jsched.library import RootfsLibrary
from jsched.rootfs import Archive, Rootfs
from jsched.server import heap
from jsched.server.call import current_call
from jsched.server.convert import timestamp
from jsched.v1 import rootfs_pb2 as pb

if TYPE_CHECKING:
    from jsched.server.interceptors import Context

_SERIALIZE = methodcaller("SerializeToString")
SERVICE = pb.DESCRIPTOR.services_by_name["RootfsService"].full_name


class RootfsService:
    """The handlers of jsched.v1.RootfsService; errors leave them as the types of `jsched.errors`."""

    def __init__(self, library: RootfsLibrary) -> None:
        self._library = library

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the table of methods for a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "UploadRootfs": grpc.stream_unary_rpc_method_handler(
                    self.upload_rootfs,
                    request_deserializer=pb.UploadRootfsRequest.FromString,
                    response_serializer=_SERIALIZE,
                ),
                "GetRootfsUpload": _unary(self.get_rootfs_upload, pb.GetRootfsUploadRequest),
                "ListRootfs": _unary(self.list_rootfs, pb.ListRootfsRequest),
                "DeleteRootfs": _unary(self.delete_rootfs, pb.DeleteRootfsRequest),
            },
        )

    async def upload_rootfs(self, requests: AsyncIterator[Any], _: Context) -> pb.UploadRootfsResponse:
        """Take an archive."""
        call = current_call()
        first = await anext(requests, None)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidArgument("the first message of an upload has no header", obj="header")
        header = first.header
        call.entry.rootfs = header.name
        archive = Archive(header.name, header.digest, header.size)
        rootfs = await self._library.upload(
            archive,
            header.offset,
            _pieces(requests),
            by=call.user,
            visible_to=call.access.visible_to,
            jobs_of=call.access.jobs_of,
        )
        return pb.UploadRootfsResponse(rootfs=_from_rootfs(rootfs))

    async def get_rootfs_upload(self, request: pb.GetRootfsUploadRequest, _: Context) -> pb.GetRootfsUploadResponse:
        """Tell where an upload goes on."""
        offset, complete = await self._library.received(request.digest, visible_to=current_call().access.visible_to)
        return pb.GetRootfsUploadResponse(offset=offset, complete=complete)

    async def list_rootfs(self, _request: pb.ListRootfsRequest, _: Context) -> pb.ListRootfsResponse:
        """List root file systems."""
        access = current_call().access
        found = self._library.list(visible_to=access.visible_to, jobs_of=access.jobs_of)
        return pb.ListRootfsResponse(rootfs=[_from_rootfs(rootfs) for rootfs in found])

    async def delete_rootfs(self, request: pb.DeleteRootfsRequest, _: Context) -> pb.DeleteRootfsResponse:
        """Delete a root file system."""
        call = current_call()
        call.entry.rootfs = request.name
        access = call.access
        if access.tells_apart:
            found = next((one for one in self._library.list() if one.name == request.name), None)
            if found is not None:
                access.check(found.uploaded_by, found.name)
        # Between the two it may become another's, which a verb for one's own does not reach.
        visible_to = access.limited_to or access.visible_to
        rootfs = await self._library.delete(request.name, visible_to=visible_to, jobs_of=access.jobs_of)
        return pb.DeleteRootfsResponse(rootfs=_from_rootfs(rootfs))


async def _pieces(requests: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise InvalidArgument("a message of an upload has no data", obj="data")
        heap.message_passes(len(request.data))
        yield request.data


def _from_rootfs(rootfs: Rootfs) -> pb.Rootfs:
    return pb.Rootfs(
        name=rootfs.name,
        digest=rootfs.digest,
        size=rootfs.size,
        entries=rootfs.entries,
        uploaded_by=rootfs.uploaded_by,
        uploaded_at=timestamp(rootfs.uploaded_at),
        job_ids=rootfs.used_by,
    )


def _unary(method: Any, request: type[Message]) -> grpc.RpcMethodHandler[Message, Message]:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=request.FromString, response_serializer=_SERIALIZE
    )
