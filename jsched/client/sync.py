"""The blocking client: what `Engine` does, from afar."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from jsched.client import decode, requests
from jsched.client.connection import open_channel
from jsched.client.diagnosis import NotConnected
from jsched.client.errors import translate
from jsched.client.position import Reading
from jsched.client.retry import OnReconnect, OnResume, Patience, closed, is_whole_id
from jsched.client.settings import ClientConfig
from jsched.errors import JschedError, Unavailable
from jsched.job import Chunk, Job, JobFilter, JobPage, JobSpec, StopResult
from jsched.v1.jobs_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    from jsched.client.rootfs_sync import RootfsCalls
    from jsched.stats import Stats

_EVERYTHING = JobFilter()


class Client:
    """A connection to a server; a context manager, and safe to use from several threads.

    A job is named by its id, a unique prefix of at least 8 digits of it, or its name. A call
    whose connection breaks is made again for up to `config.reconnect_timeout` seconds, if
    that can do no harm; a server that has never answered is not waited for. Every method
    raises the errors of `jsched.errors`.
    """

    def __init__(self, config: ClientConfig, channel: grpc.Channel | None = None) -> None:
        self.config = config
        # Given if its connection has been begun before this module was imported.
        self._channel = open_channel(config) if channel is None else channel
        self._stub: Any = JobServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._known = False
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls that are under way fail, and so do later ones, with FailedPrecondition."""
        self._closed = True
        self._channel.close()

    def start(self, spec: JobSpec, *, request_id: str | None = None) -> Job:
        """Start a job and return it once the command has been executed.

        The same `request_id` again gives the same job, not a second one; without one each
        call is a new job, though it may be sent several times. Raises StartFailed if the
        command can't be executed.
        """
        return decode.job(self._call(self._stub.StartJob, requests.start(spec, request_id)).job)

    def stop(self, ref: str, grace: float | None = None) -> StopResult:
        """End a job and return when its whole process tree is gone.

        `grace` is how many seconds the job has between SIGTERM and SIGKILL: None for what it
        was started with, 0 for none. Twice is harmless.
        """
        return decode.stop_result(self._call(self._stub.StopJob, requests.stop(ref, grace)))

    def get(self, ref: str) -> Job:
        """Return what is known of a job."""
        return decode.job(self._call(self._stub.GetJob, requests.get(ref)).job)

    def list(self, wanted: JobFilter = _EVERYTHING, *, page_size: int = 0, page_token: str = "") -> JobPage:
        """Return one page of jobs, newest first: the server's usual number of jobs if `page_size` is 0."""
        return decode.page(self._call(self._stub.ListJobs, requests.list_jobs(wanted, page_size, page_token)))

    def jobs(self, wanted: JobFilter = _EVERYTHING, *, page_size: int = 0) -> Iterator[Job]:
        """Yield all jobs, newest first, fetching page by page."""
        token = ""
        while True:
            page = self.list(wanted, page_size=page_size, page_token=token)
            yield from page.jobs
            token = page.next_page_token
            if not token:
                return

    def wait(self, ref: str, *, on_reconnect: OnReconnect | None = None) -> Job:
        """Return the job once it has ended."""
        return decode.job(self._call(self._stub.WaitJob, requests.wait(self._whole_id(ref)), on_reconnect).job)

    def delete(self, ref: str) -> str:
        """Remove an ended job and its log file, and return its id.

        Not sent again if the connection breaks: the second answer would be NotFound.
        """
        job_id: str = self._call(self._stub.DeleteJob, requests.delete(ref), again=False).job_id
        return job_id

    def follow(
        self,
        ref: str,
        offset: int = 0,
        follow: bool = True,
        *,
        on_reconnect: OnReconnect | None = None,
        on_resume: OnResume | None = None,
    ) -> OutputStream:
        """Return an iterator over a job's output from byte `offset` to the job's end.

        With `follow` false it ends with what is there now. If the connection breaks, it goes
        on at the byte where it was: `on_reconnect(error, attempt)` is called before every
        attempt, `on_resume(offset)` once the server has answered again.
        """
        return OutputStream(self, self._whole_id(ref), offset, follow, on_reconnect, on_resume)

    def stats(self) -> Stats:
        """Return in numbers what the server is doing: of all jobs, or of your own alone if you see no others."""
        return decode.stats(self._call(self._stub.GetStats, requests.get_stats()))

    @functools.cached_property
    def rootfs(self) -> RootfsCalls:
        """The calls that upload, list and delete root file systems."""
        # Imported when it is asked for: most commands make calls about jobs alone.
        from jsched.client.rootfs_sync import RootfsCalls

        # A stub that is made on a closed channel kills the process (grpcio 1.85).
        self._check_open()
        return RootfsCalls(self, self._channel)

    def _whole_id(self, ref: str) -> str:
        return ref if is_whole_id(ref) else self.get(ref).id

    def _patience(self, again: bool = True) -> Patience:
        return Patience(self.config.reconnect_timeout if again else 0, known=self._known)

    def _call(self, method: Any, request: Any, on_reconnect: OnReconnect | None = None, *, again: bool = True) -> Any:
        patience = self._patience(again)
        while True:
            patience.begins()
            self._check_open()
            try:
                answer = method(request)
            except grpc.RpcError as error:
                self._wait_after(error, patience, on_reconnect)
            else:
                self._known = True
                return answer

    def _wait_after(self, error: Exception, patience: Patience, on_reconnect: OnReconnect | None) -> None:
        """Wait before the next attempt, or raise what the call's error stands for."""
        self._check_open()
        problem = error if isinstance(error, JschedError) else translate(error, self.config)
        self._known = self._known or not isinstance(problem, NotConnected)
        delay = patience.after(problem)
        if on_reconnect is not None:
            on_reconnect(problem, patience.attempt)
        time.sleep(delay)

    def _check_open(self) -> None:
        if self._closed:
            raise closed()


class OutputStream(Reading, Iterator[Chunk]):
    """A job's output, chunk by chunk; each chunk begins where the one before ended.

    `offset` is that of the next byte. When the iteration is over, `ended` is the job with
    its outcome; it stays None if not everything up to the job's end was asked for or read.
    """

    def __init__(
        self,
        client: Client,
        job_id: str,
        offset: int,
        follow: bool,
        on_reconnect: OnReconnect | None,
        on_resume: OnResume | None,
    ) -> None:
        super().__init__(job_id, offset, follow, client._patience(), on_reconnect, on_resume)
        self._client = client

    def __next__(self) -> Chunk:
        while not self._closed:
            try:
                message = self._read()
            except (grpc.RpcError, Unavailable) as error:
                # A server that is killed after its last message ends the call with an error all the same.
                if self._closed or self.ended is not None:
                    break
                self._broken()
                self._client._wait_after(error, self._patience, self._on_reconnect)
                continue
            if message is not None and (chunk := self._position.accept(message)) is not None:
                return chunk
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _read(self) -> Any:
        """Return the next message, or None at the end."""
        if self._call is None:
            self._patience.begins()
            self._client._check_open()
            self._call = self._client._stub.StreamOutput(self._request())
            if self._resuming:
                self._call.initial_metadata()
                if self._call.is_active():
                    self._resumed()
        message = next(self._call, None)
        if message is None:
            self._finished()
            return None
        self._resumed()
        self._client._known = True
        return message
