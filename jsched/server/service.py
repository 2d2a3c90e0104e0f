"""JobService: decode the request, ask the engine, encode the answer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import replace
from operator import methodcaller
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import Message

from jsched.engine import Engine
from jsched.errors import InvalidArgument
from jsched.job import Job, JobSpec
from jsched.looks import Looks
from jsched.policy import starts
from jsched.policy.starts import Admission, Defaults
from jsched.server import convert, heap
from jsched.server.call import current_call
from jsched.server.idle import IdleLimit
from jsched.server.stats import ServerStats
from jsched.v1 import jobs_pb2 as pb
from jsched.wire_config import WireConfig

if TYPE_CHECKING:
    from jsched.server.interceptors import Context

_SERIALIZE = methodcaller("SerializeToString")
SERVICE = pb.DESCRIPTOR.services_by_name["JobService"].full_name


class JobService:
    """The handlers of jsched.v1.JobService; errors leave them as the types of `jsched.errors`."""

    def __init__(self, engine: Engine, defaults: Defaults, limits: WireConfig) -> None:
        self._engine = engine
        self._defaults = defaults
        self._limits = limits
        self._stats = ServerStats(engine)
        self._looks = Looks()

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the table of methods for a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "StartJob": _unary(self.start_job, pb.StartJobRequest),
                "StopJob": _unary(self.stop_job, pb.StopJobRequest),
                "GetJob": _unary(self.get_job, pb.GetJobRequest),
                "ListJobs": _unary(self.list_jobs, pb.ListJobsRequest),
                "StreamOutput": grpc.unary_stream_rpc_method_handler(
                    self.stream_output,
                    request_deserializer=pb.StreamOutputRequest.FromString,
                    # What the engine reads is encoded already, once for all followers at the same offset.
                    response_serializer=None,
                ),
                "WaitJob": _unary(self.wait_job, pb.WaitJobRequest),
                "DeleteJob": _unary(self.delete_job, pb.DeleteJobRequest),
                "GetStats": _unary(self.get_stats, pb.GetStatsRequest),
            },
        )

    async def start_job(self, request: pb.StartJobRequest, _: Context) -> pb.StartJobResponse:
        """Start a job."""
        call = current_call()
        call.entry.argv, call.entry.env = request.argv, sorted(request.env)
        admission = await self._admit(convert.to_spec(request))
        call.entry.rule = admission.rule
        job = await self._engine.start(
            admission.spec,
            owner=call.user,
            request_id=request.request_id or None,
            terms=admission.terms,
            named=functools.partial(setattr, call, "job_id"),
        )
        return pb.StartJobResponse(job_id=job.id, job=convert.from_job(job))

    async def stop_job(self, request: pb.StopJobRequest, _: Context) -> pb.StopJobResponse:
        """Stop a job."""
        grace = convert.to_grace(request)
        ref, visible_to = await self._reach(request.job_id)
        stopped = await self._engine.stop(ref, grace=grace, by=current_call().user, visible_to=visible_to)
        return convert.from_stop(stopped)

    async def get_job(self, request: pb.GetJobRequest, _: Context) -> pb.GetJobResponse:
        """Tell what is known of a job."""
        ref, visible_to = await self._reach(request.job_id)
        return pb.GetJobResponse(job=convert.from_job(await self._engine.get(ref, visible_to=visible_to)))

    async def list_jobs(self, request: pb.ListJobsRequest, _: Context) -> pb.ListJobsResponse:
        """List jobs."""
        wanted = convert.to_filter(request)
        own = current_call().access.limited_to
        if own is not None:
            if wanted.owner not in (None, own):
                # As for somebody who has no jobs.
                return pb.ListJobsResponse()
            wanted = replace(wanted, owner=own)
        return convert.from_page(
            await self._engine.list(wanted, page_size=request.page_size, page_token=request.page_token)
        )

    async def wait_job(self, request: pb.WaitJobRequest, _: Context) -> pb.WaitJobResponse:
        """Wait for a job's end."""
        ref, visible_to = await self._reach(request.job_id)
        call = current_call()
        call.owner = self._engine.owner_of(ref)
        if call.owner is None:
            job = await self._engine.get(ref, visible_to=visible_to)
            if job.state.ended:
                return pb.WaitJobResponse(job=convert.from_job(job))
            ref, call.owner = job.id, job.owner
        return pb.WaitJobResponse(job=convert.from_job(await self._engine.wait(ref, visible_to=visible_to)))

    async def delete_job(self, request: pb.DeleteJobRequest, _: Context) -> pb.DeleteJobResponse:
        """Delete a job."""
        ref, visible_to = await self._reach(request.job_id)
        return pb.DeleteJobResponse(job_id=(await self._engine.remove(ref, visible_to=visible_to)).id)

    async def get_stats(self, _request: pb.GetStatsRequest, _: Context) -> pb.GetStatsResponse:
        """Tell in numbers what there is."""
        return await self._stats.get(visible_to=current_call().access.limited_to)

    async def stream_output(self, request: pb.StreamOutputRequest, context: Context) -> None:
        """Send a job's output, and say how it ended."""
        call = current_call()
        ending = await self._find(request.job_id)
        job_id = call.job_id
        sent = 0
        try:
            async with (
                IdleLimit(self._limits.stream_idle_timeout) as idle,
                await self._engine.follow(job_id, offset=request.offset, follow=request.follow) as follower,
            ):
                # A client that has come back is to know so before the next byte.
                await context.send_initial_metadata(())
                while (piece := await follower.read_piece()) is not None:
                    heap.message_passes(piece.size)
                    await context.write(piece.content)
                    # Or half a megabyte is held for as long as nothing more comes.
                    del piece
                    idle.sent()
                    sent = follower.offset - request.offset
            # Without follow, a job that has ended since we looked may have written more than was sent.
            if request.follow or isinstance(ending, Job):
                job = ending if isinstance(ending, Job) else ending.result()
                await context.write(convert.encode_end(follower.offset, job))
        finally:
            call.entry.sent = sent

    async def _find(self, name: str) -> Job | asyncio.Future[Job]:
        """Return a job that has ended, or the future of the end of one that has not, and note which it is.

        Held from the start: the job may be deleted before all of its output is sent. Of one that
        runs nothing else is: every stream would have it for as long as it lasts.
        """
        ref, visible_to = await self._reach(name)
        job = await self._engine.get(ref, visible_to=visible_to)
        call = current_call()
        call.job_id, call.owner = job.id, job.owner
        ending = self._engine.ending(job.id)
        if ending is not None:
            return ending
        return job if job.state.ended else await self._engine.get(job.id)

    async def _admit(self, spec: JobSpec) -> Admission:
        """Return a start as the policy allows it to the caller; raises Refused."""
        access = current_call().access
        admit = functools.partial(starts.admit, access.grant, access.user, spec, self._defaults)
        if not starts.looks_at_files(access.grant):
            return admit()
        return await self._looks.look(access.user, f"command {spec.argv[0]}", "argv", admit)

    async def _reach(self, job_id: str) -> tuple[str, str | None]:
        """Return by which name, and as whom, to ask for a job; raises Refused if the verb does not reach it."""
        ref = _ref(job_id)
        access = current_call().access
        if not access.tells_apart:
            return ref, access.visible_to
        job = await self._engine.get(ref)
        access.check(job.owner, job.id)
        return job.id, None


def _unary(method: Callable[..., object], request: type[Message]) -> grpc.RpcMethodHandler[Message, Message]:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=request.FromString, response_serializer=_SERIALIZE
    )


def _ref(job_id: str) -> str:
    if not job_id:
        raise InvalidArgument("job_id is empty", obj="job_id", hint="give a job's id or name")
    current_call().job_id = job_id
    return job_id
