"""Handlers for every way in which one can behave, under the names of the services' methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from jsched.errors import FailedPrecondition, NotFound, StartFailed
from jsched.server.call import current_call
from jsched.v1 import jobs_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]


class SmallService:
    """The services' methods without jobs; `reached` has the names of those that were reached."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Return the handlers to add to a server; one service has a method that stands in no policy."""
        unary = {
            name: grpc.unary_unary_rpc_method_handler(
                self._answering(name), request.FromString, pb.GetJobResponse.SerializeToString
            )
            for name, request in (
                ("StartJob", pb.StartJobRequest),
                ("StopJob", pb.StopJobRequest),
                ("ListJobs", pb.ListJobsRequest),
                ("DeleteJob", pb.DeleteJobRequest),
                ("GetStats", pb.GetStatsRequest),
            )
        }
        job_service = unary | {
            "GetJob": grpc.unary_unary_rpc_method_handler(
                self._get_job, pb.GetJobRequest.FromString, pb.GetJobResponse.SerializeToString
            ),
            "WaitJob": grpc.unary_unary_rpc_method_handler(
                self._wait_job, pb.WaitJobRequest.FromString, pb.WaitJobResponse.SerializeToString
            ),
            "StreamOutput": grpc.unary_stream_rpc_method_handler(self._stream, pb.StreamOutputRequest.FromString, None),
        }
        rootfs_service: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(self._answering(name), None, pb.GetJobResponse.SerializeToString)
            for name in ("GetRootfsUpload", "ListRootfs", "DeleteRootfs")
        } | {
            "UploadRootfs": grpc.stream_unary_rpc_method_handler(
                self._upload, None, pb.GetJobResponse.SerializeToString
            )
        }
        unlisted: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._answering("Unary"), None, None),
            "Stream": grpc.stream_stream_rpc_method_handler(self._generate, None, None),
        }
        return [
            grpc.method_handlers_generic_handler("jsched.v1.JobService", job_service),
            grpc.method_handlers_generic_handler("jsched.v1.RootfsService", rootfs_service),
            grpc.method_handlers_generic_handler("jsched.v1.Unlisted", unlisted),
        ]

    def _answering(self, name: str) -> Any:
        async def answer(request: Any, _: Context) -> pb.GetJobResponse:
            self.reached.append(name)
            return pb.GetJobResponse(job=pb.Job(owner=current_call().user))

        return answer

    async def _get_job(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        self.reached.append("GetJob")
        call = current_call()
        call.job_id = request.job_id
        match request.job_id:
            case "missing":
                raise NotFound("no such job: missing", obj="missing", hint="jsched-cli list -a shows all jobs")
            case "unstartable":
                raise StartFailed("exec: No such file or directory", step="exec", errno=2, job_id="j1", obj="argv")
            case "quoting":
                raise NotFound("no such job: \udcff\n" + "ä" * 5000, obj="ö" * 5000, hint="x" * 5000)
            case "defect":
                raise RuntimeError("a secret of the server")
            case "cancelled":
                raise asyncio.CancelledError
            case "aborting":
                await context.abort(grpc.StatusCode.DATA_LOSS, "by itself")
        return pb.GetJobResponse(job=pb.Job(job_id=request.job_id, owner=call.user, name=call.identity.role))

    async def _wait_job(self, request: pb.WaitJobRequest, _: Context) -> pb.WaitJobResponse:
        self.reached.append("WaitJob")
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nothing ends this but the caller")

    async def _stream(self, request: pb.StreamOutputRequest, context: Context) -> None:
        self.reached.append("StreamOutput")
        current_call().job_id = request.job_id
        for offset in range(2):
            await context.write(pb.StreamOutputResponse(offset=offset, data=b"x").SerializeToString())
        while request.job_id == "flood":
            await context.write(pb.StreamOutputResponse(data=bytes(256 * 1024)).SerializeToString())
        if request.job_id == "broken":
            raise FailedPrecondition("broken in the middle")
        if request.follow:
            await asyncio.get_running_loop().create_future()

    async def _upload(self, requests: AsyncIterator[bytes], _: Context) -> pb.GetJobResponse:
        self.reached.append("UploadRootfs")
        async for _request in requests:
            pass
        return pb.GetJobResponse(job=pb.Job(owner=current_call().user))

    async def _generate(self, requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        self.reached.append("Stream")
        async for request in requests:
            yield request
