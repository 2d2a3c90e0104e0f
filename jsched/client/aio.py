"""The asyncio client: the same as `Client`, awaited."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from jsched.client import decode, requests
from jsched.client.connection import OPTIONS, credentials
from jsched.client.diagnosis import NotConnected
from jsched.client.errors import translate
from jsched.client.position import Reading
from jsched.client.retry import OnReconnect, OnResume, Patience, closed, is_whole_id
from jsched.client.settings import ClientConfig
from jsched.errors import JschedError, Unavailable
from jsched.job import Chunk, Job, JobFilter, JobPage, JobSpec, StopResult
from jsched.v1.jobs_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    from jsched.client.rootfs_aio import AsyncRootfsCalls
    from jsched.stats import Stats

_EVERYTHING = JobFilter()


class AsyncClient:
    """A connection to a server, for one event loop; an asynchronous context manager.

    What `Client` says of names, attempts and errors holds here too.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._credentials = credentials(config)
        self._opened: tuple[Any, Any] | None = None
        self._known = False
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls that are under way fail, and so do later ones, with FailedPrecondition."""
        self._closed = True
        if self._opened is not None:
            await self._opened[0].close()

    async def start(self, spec: JobSpec, *, request_id: str | None = None) -> Job:
        """Start a job and return it once the command has been executed; see `Client.start`."""
        return decode.job((await self._call("StartJob", requests.start(spec, request_id))).job)

    async def stop(self, ref: str, grace: float | None = None) -> StopResult:
        """End a job and return when its whole process tree is gone; see `Client.stop`."""
        return decode.stop_result(await self._call("StopJob", requests.stop(ref, grace)))

    async def get(self, ref: str) -> Job:
        """Return what is known of a job."""
        return decode.job((await self._call("GetJob", requests.get(ref))).job)

    async def list(self, wanted: JobFilter = _EVERYTHING, *, page_size: int = 0, page_token: str = "") -> JobPage:
        """Return one page of jobs, newest first: the server's usual number of jobs if `page_size` is 0."""
        return decode.page(await self._call("ListJobs", requests.list_jobs(wanted, page_size, page_token)))

    async def jobs(self, wanted: JobFilter = _EVERYTHING, *, page_size: int = 0) -> AsyncIterator[Job]:
        """Yield all jobs, newest first, fetching page by page."""
        token = ""
        while True:
            page = await self.list(wanted, page_size=page_size, page_token=token)
            for job in page.jobs:
                yield job
            token = page.next_page_token
            if not token:
                return

    async def wait(self, ref: str, *, on_reconnect: OnReconnect | None = None) -> Job:
        """Return the job once it has ended."""
        request = requests.wait(await self._whole_id(ref))
        return decode.job((await self._call("WaitJob", request, on_reconnect)).job)

    async def delete(self, ref: str) -> str:
        """Remove an ended job and its log file, and return its id; see `Client.delete`."""
        job_id: str = (await self._call("DeleteJob", requests.delete(ref), again=False)).job_id
        return job_id

    async def follow(
        self,
        ref: str,
        offset: int = 0,
        follow: bool = True,
        *,
        on_reconnect: OnReconnect | None = None,
        on_resume: OnResume | None = None,
    ) -> AsyncOutputStream:
        """Return an asynchronous iterator over a job's output; see `Client.follow`."""
        return AsyncOutputStream(self, await self._whole_id(ref), offset, follow, on_reconnect, on_resume)

    async def stats(self) -> Stats:
        """Return in numbers what the server is doing; see `Client.stats`."""
        return decode.stats(await self._call("GetStats", requests.get_stats()))

    @functools.cached_property
    def rootfs(self) -> AsyncRootfsCalls:
        """The calls that upload, list and delete root file systems."""
        from jsched.client.rootfs_aio import AsyncRootfsCalls

        return AsyncRootfsCalls(self)

    @property
    def _stub(self) -> Any:
        # Made at the first call: a channel belongs to the loop that runs when it is made.
        return self._open()[1]

    @property
    def _channel(self) -> Any:
        return self._open()[0]

    def _open(self) -> tuple[Any, Any]:
        self._check_open()
        if self._opened is None:
            channel = grpc.aio.secure_channel(self.config.server, self._credentials, options=OPTIONS)
            self._opened = channel, JobServiceStub(channel)  # type: ignore[no-untyped-call]
        return self._opened

    async def _whole_id(self, ref: str) -> str:
        return ref if is_whole_id(ref) else (await self.get(ref)).id

    def _patience(self, again: bool = True) -> Patience:
        return Patience(self.config.reconnect_timeout if again else 0, known=self._known)

    async def _call(
        self, method: str, request: Any, on_reconnect: OnReconnect | None = None, *, again: bool = True
    ) -> Any:
        return await self._repeat(getattr(self._stub, method), request, on_reconnect, again=again)

    async def _repeat(
        self, method: Any, request: Any, on_reconnect: OnReconnect | None = None, *, again: bool = True
    ) -> Any:
        patience = self._patience(again)
        while True:
            patience.begins()
            self._check_open()
            try:
                answer = await method(request)
            except grpc.RpcError as error:
                await self._wait_after(error, patience, on_reconnect)
            except asyncio.CancelledError:
                self._check_whose_cancellation()
                raise
            else:
                self._known = True
                return answer

    async def _wait_after(self, error: Exception, patience: Patience, on_reconnect: OnReconnect | None) -> None:
        """Wait before the next attempt, or raise what the call's error stands for."""
        self._check_open()
        if isinstance(error, JschedError):
            problem = error
        else:
            # The second look at a connection blocks.
            problem = await asyncio.to_thread(translate, error, self.config)
        self._known = self._known or not isinstance(problem, NotConnected)
        delay = patience.after(problem)
        if on_reconnect is not None:
            on_reconnect(problem, patience.attempt)
        await asyncio.sleep(delay)

    def _check_open(self) -> None:
        if self._closed:
            raise closed()

    def _check_whose_cancellation(self) -> None:
        """Raise FailedPrecondition if it was close() that has cancelled a call, and nobody this task."""
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            self._check_open()


class AsyncOutputStream(Reading, AsyncIterator[Chunk]):
    """A job's output, chunk by chunk, as `OutputStream` gives it."""

    def __init__(
        self,
        client: AsyncClient,
        job_id: str,
        offset: int,
        follow: bool,
        on_reconnect: OnReconnect | None,
        on_resume: OnResume | None,
    ) -> None:
        super().__init__(job_id, offset, follow, client._patience(), on_reconnect, on_resume)
        self._client = client

    async def __anext__(self) -> Chunk:
        while not self._closed:
            try:
                message = await self._read()
            except (grpc.RpcError, Unavailable) as error:
                # A server that is killed after its last message ends the call with an error all the same.
                if self._closed or self.ended is not None:
                    break
                self._broken()
                await self._client._wait_after(error, self._patience, self._on_reconnect)
                continue
            except asyncio.CancelledError:
                # gRPC raises this too when it was close() that cancelled the call.
                if self._closed:
                    break
                self._client._check_whose_cancellation()
                # gRPC has ended the call with the read: the next one goes on at its byte, with a call of its own.
                self._forget_call()
                raise
            if message is not None and (chunk := self._position.accept(message)) is not None:
                return chunk
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    async def _read(self) -> Any:
        """Return the next message, or None at the end."""
        if self._call is None:
            self._patience.begins()
            self._call = self._client._stub.StreamOutput(self._request())
            if self._resuming:
                await self._call.initial_metadata()
                if not self._call.done():
                    self._resumed()
        message = await self._call.read()
        if message is grpc.aio.EOF:
            self._finished()
            return None
        self._resumed()
        self._client._known = True
        return message
