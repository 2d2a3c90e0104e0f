"""A stream goes on at its byte when the connection breaks, and never has a hole or a repeat."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from jsched.client import AsyncClient, Client
from jsched.errors import FailedPrecondition, Internal, NotFound, PermissionDenied, Unavailable
from jsched.job import Chunk, Exited, Job
from tests.unit.client.conftest import (
    JOB_ID,
    Scripted,
    give,
    job_message,
    piece,
    refuse,
    stream_of,
)

CUT = grpc.StatusCode.UNAVAILABLE
Seen = list[tuple[str, Any]]


def read_sync(
    server: Scripted, ref: str, *, seen: Seen, timeout: float = 20, **kwargs: Any
) -> tuple[list[Chunk], Job | None]:
    """Read a stream to its end with the blocking client."""
    with Client(server.config(timeout)) as client:
        stream = client.follow(
            ref,
            on_reconnect=lambda error, attempt: seen.append(("lost", attempt)),
            on_resume=lambda offset: seen.append(("back", offset)),
            **kwargs,
        )
        return list(stream), stream.ended


def read_aio(
    server: Scripted, ref: str, *, seen: Seen, timeout: float = 20, **kwargs: Any
) -> tuple[list[Chunk], Job | None]:
    """Read a stream to its end with the asyncio client."""

    async def read() -> tuple[list[Chunk], Job | None]:
        async with AsyncClient(server.config(timeout)) as client:
            stream = await client.follow(
                ref,
                on_reconnect=lambda error, attempt: seen.append(("lost", attempt)),
                on_resume=lambda offset: seen.append(("back", offset)),
                **kwargs,
            )
            return [chunk async for chunk in stream], stream.ended

    return asyncio.run(read())


Read = Callable[..., tuple[list[Chunk], Job | None]]
both = pytest.mark.parametrize("read", [read_sync, read_aio], ids=["sync", "aio"])


@both
def test_a_whole_stream(scripted: Scripted, read: Read) -> None:
    """Chunks come in order with their offsets, and the last message says how the job ended."""
    scripted.script = [stream_of(piece(0, b"ab"), piece(2, b"c"), piece(3, ended=True))]
    seen: Seen = []
    chunks, ended = read(scripted, JOB_ID, seen=seen)
    assert chunks == [Chunk(0, b"ab"), Chunk(2, b"c")]
    assert ended is not None
    assert ended.outcome == Exited(0)
    assert seen == []
    assert [(request.offset, request.follow) for request in scripted.requests] == [(0, True)]


@both
def test_the_last_message_may_carry_bytes(scripted: Scripted, read: Read) -> None:
    """Bytes that come with the end are not lost, and a job without output has none."""
    scripted.script = [stream_of(piece(0, b"ab", ended=True)), stream_of(piece(0, ended=True))]
    assert read(scripted, JOB_ID, seen=[])[0] == [Chunk(0, b"ab")]
    chunks, ended = read(scripted, JOB_ID, seen=[])
    assert chunks == []
    assert ended is not None


@both
@pytest.mark.parametrize(
    "cut", [stream_of(piece(5, b"ab"), then=CUT), stream_of(piece(5, b"ab"))], ids=["unavailable", "no end"]
)
def test_a_cut_stream_goes_on_at_its_byte(scripted: Scripted, read: Read, cut: Any) -> None:
    """A stream that breaks, or ends without the job's end, is asked for again from the next byte."""
    scripted.script = [cut, refuse(CUT), refuse(CUT), stream_of(piece(7, b"cd"), piece(9, ended=True))]
    seen: Seen = []
    chunks, ended = read(scripted, JOB_ID, seen=seen, offset=5)
    assert chunks == [Chunk(5, b"ab"), Chunk(7, b"cd")]
    assert ended is not None
    assert [request.offset for request in scripted.requests] == [5, 7, 7, 7]
    assert seen == [("lost", 1), ("lost", 2), ("lost", 3), ("back", 7)]


@both
def test_without_follow_the_end_of_the_stream_is_enough(scripted: Scripted, read: Read) -> None:
    """Where no end was asked for, none is needed; what breaks is mended all the same."""
    scripted.script = [stream_of(piece(0, b"a"), then=CUT), stream_of(piece(1, b"b"))]
    chunks, ended = read(scripted, JOB_ID, seen=[], follow=False)
    assert (chunks, ended) == ([Chunk(0, b"a"), Chunk(1, b"b")], None)
    assert [request.follow for request in scripted.requests] == [False, False]


@both
@pytest.mark.parametrize(
    "second",
    [piece(1, b"b"), piece(3, b"b"), piece(4, ended=True), piece(0, b"ab")],
    ids=["repeat", "hole", "end too far", "from the start"],
)
def test_a_message_out_of_place_is_an_error(scripted: Scripted, read: Read, second: Any) -> None:
    """A hole or a repeat is never passed on, nor mended by asking again."""
    scripted.script = [stream_of(piece(0, b"ab"), second)]
    with pytest.raises(Internal, match="instead of byte 2"):
        read(scripted, JOB_ID, seen=[])


@both
def test_nothing_comes_after_the_end(scripted: Scripted, read: Read) -> None:
    """A message after the last one is an error."""
    scripted.script = [stream_of(piece(0, ended=True), piece(0, b"x"))]
    with pytest.raises(Internal, match="after the end"):
        read(scripted, JOB_ID, seen=[])


@both
@pytest.mark.parametrize("code", [CUT, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL])
def test_an_error_after_the_end_is_none(scripted: Scripted, read: Read, code: grpc.StatusCode) -> None:
    """A server that is killed between its last message and its status has said everything."""
    scripted.script = [stream_of(piece(0, b"ab"), piece(2, ended=True), then=code)]
    seen: Seen = []
    chunks, ended = read(scripted, JOB_ID, seen=seen)
    assert chunks == [Chunk(0, b"ab")]
    assert ended is not None
    assert ended.outcome == Exited(0)
    assert seen == []
    assert len(scripted.requests) == 1


@both
def test_other_errors_end_the_stream(scripted: Scripted, read: Read) -> None:
    """An error that is no cut is raised, before the first byte and after it."""
    scripted.script = [refuse(grpc.StatusCode.NOT_FOUND, "no job 'x'")]
    with pytest.raises(NotFound, match="no job 'x'"):
        read(scripted, JOB_ID, seen=[])
    scripted.script = [stream_of(piece(0, b"x"), then=grpc.StatusCode.PERMISSION_DENIED)]
    with pytest.raises(PermissionDenied):
        read(scripted, JOB_ID, seen=[])


@both
def test_it_gives_up(scripted: Scripted, read: Read) -> None:
    """When the server stays away for longer than was configured, the error says so."""
    cut_for_good = stream_of(piece(0, b"x"), then=CUT)
    scripted.script = [cut_for_good, *[refuse(CUT)] * 100]
    with pytest.raises(Unavailable, match=r"gave up after 0.3 s"):
        read(scripted, JOB_ID, seen=[], timeout=0.3)


@both
def test_without_patience_the_first_cut_is_the_end(scripted: Scripted, read: Read) -> None:
    """A reconnect timeout of 0 means none."""
    scripted.script = [stream_of(piece(0, b"x"), then=CUT)]
    seen: Seen = []
    with pytest.raises(Unavailable):
        read(scripted, JOB_ID, seen=seen, timeout=0)
    assert (seen, len(scripted.requests)) == ([], 1)


@both
def test_a_name_is_looked_up_once(scripted: Scripted, read: Read) -> None:
    """After a cut the same job is asked for, though its name may be another's by then."""
    scripted.script = [
        give_job(),
        stream_of(piece(0, b"x"), then=CUT),
        stream_of(piece(1, ended=True)),
    ]
    read(scripted, "nightly", seen=[])
    assert [request.job_id for request in scripted.requests] == ["nightly", JOB_ID, JOB_ID]


@both
def test_a_server_that_is_gone_and_comes_back(scripted: Scripted, read: Read) -> None:
    """A server that ends in the middle and serves again on its port is found again."""
    gone = threading.Event()

    def hang(request: Any, context: grpc.ServicerContext) -> Any:
        yield piece(0, b"ab")
        threading.Thread(target=restart).start()
        gone.wait(20)

    def restart() -> None:
        scripted.stop()
        gone.set()
        scripted.start()

    scripted.script = [hang, stream_of(piece(2, b"c"), piece(3, ended=True))]
    seen: Seen = []
    chunks, _ = read(scripted, JOB_ID, seen=seen)
    assert b"".join(chunk.data for chunk in chunks) == b"abc"
    assert seen[0] == ("lost", 1)
    assert seen[-1] == ("back", 2)


def hang_until(released: threading.Event) -> Any:
    """Return a stream that sends two bytes and then nothing until it is cut or released."""

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(released.set)
        yield piece(0, b"ab")
        released.wait(20)

    return answer


def test_close_ends_a_blocked_read(scripted: Scripted) -> None:
    """close() from another thread ends an iteration that waits for bytes."""
    released = threading.Event()
    scripted.script = [hang_until(released)]
    with Client(scripted.config()) as client:
        stream = client.follow(JOB_ID)
        assert next(stream) == Chunk(0, b"ab")
        threading.Timer(0.05, stream.close).start()
        assert list(stream) == []
        assert stream.ended is None
        assert released.wait(10), "the server did not learn that nobody reads any more"


def test_aio_close_and_cancel_end_a_blocked_read(scripted: Scripted) -> None:
    """close() ends the iteration; a cancelled task stays cancelled, and the server learns of both."""

    async def main() -> None:
        async with AsyncClient(scripted.config()) as client:
            for cancel in (False, True):
                released = threading.Event()
                scripted.script = [hang_until(released)]
                stream = await client.follow(JOB_ID)
                assert await anext(stream) == Chunk(0, b"ab")
                waiting = asyncio.ensure_future(collect(stream))
                await asyncio.sleep(0)
                if cancel:
                    waiting.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await waiting
                else:
                    stream.close()
                    assert await waiting == []
                assert await asyncio.to_thread(released.wait, 10)

    async def collect(stream: Any) -> list[Chunk]:
        return [chunk async for chunk in stream]

    asyncio.run(main())


def test_aio_a_read_that_was_cancelled_is_made_again(scripted: Scripted) -> None:
    """After a read that somebody has cancelled, as a time limit does, the next one goes on at its byte."""

    async def main() -> None:
        released = threading.Event()
        scripted.script = [hang_until(released), stream_of(piece(2, b"c"), piece(3, ended=True))]
        async with AsyncClient(scripted.config()) as client:
            stream = await client.follow(JOB_ID, on_resume=lambda offset: pytest.fail("nothing was lost"))
            assert await anext(stream) == Chunk(0, b"ab")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.05)
            assert [chunk async for chunk in stream] == [Chunk(2, b"c")]
            assert stream.ended is not None
            assert await asyncio.to_thread(released.wait, 10), "the server did not learn that the read was cancelled"

    asyncio.run(main())


def test_closing_the_client_ends_a_blocked_read(scripted: Scripted) -> None:
    """A stream whose client is closed fails, as it is cut off before its end."""
    scripted.script = [hang_until(threading.Event())]
    client = Client(scripted.config())
    stream = client.follow(JOB_ID)
    assert next(stream) == Chunk(0, b"ab")
    threading.Timer(0.05, client.close).start()
    with pytest.raises(FailedPrecondition, match="the client is closed"):
        next(stream)
    with pytest.raises(FailedPrecondition, match="the client is closed"):
        next(client.follow(JOB_ID))


def test_aio_closing_the_client_ends_a_blocked_read(scripted: Scripted) -> None:
    """A stream whose client is closed fails, and its task is not cancelled."""

    async def main() -> None:
        scripted.script = [hang_until(threading.Event())]
        client = AsyncClient(scripted.config())
        stream = await client.follow(JOB_ID)
        assert await anext(stream) == Chunk(0, b"ab")
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(FailedPrecondition, match="the client is closed"):
            await waiting
        with pytest.raises(FailedPrecondition, match="the client is closed"):
            await anext(await client.follow(JOB_ID))

    asyncio.run(main())


def give_job() -> Any:
    """Return the answer to GetJob."""
    from jsched.v1 import jobs_pb2 as pb

    return give(pb.GetJobResponse(job=job_message(name="nightly")))
