from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from jsched.certificates import make_ca, make_client
from jsched.errors import JschedError, PermissionDenied, ResourceExhausted, Unauthenticated
from jsched.server.audit import Entry
from jsched.server.call import CallContext, begin_call
from jsched.server.identity import identify
from jsched.server.open_calls import OpenCalls
from tests.helpers.trust import trusting

CA = make_ca("test CA")
TRUST = trusting(CA)


@functools.cache
def certificate(user: str) -> bytes:
    return make_client(CA, user, "user").certificate_pem


def call_of(user: str) -> CallContext:
    """A call of the current task, as it is after its checks."""
    call = begin_call(Entry("/jsched.v1.JobService/WaitJob", "peer", 0.0))
    call.certificate = certificate(user)
    call.identity = identify({"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [call.certificate]}, TRUST)
    return call


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))

    return run


class Calls:
    """Calls that run, each a task that waits until it is ended."""

    def __init__(self) -> None:
        self.open = OpenCalls()

    async def run(self, user: str, act: Callable[[], Awaitable[Any]], most: int | None = None) -> Any:
        """Do something as a call of this user, in the current task."""
        call = call_of(user)
        try:
            self.open.enter(call)
            self.open.enter_stream(call, most, "max_streams_per_user")
            return await act()
        finally:
            self.open.leave(call)

    def start(
        self, user: str, act: Callable[[], Awaitable[Any]] | None = None, most: int | None = None
    ) -> asyncio.Task[Any]:
        """Do it in a task of its own."""
        return asyncio.ensure_future(self.run(user, act or for_ever, most))


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def ended(error: JschedError) -> Callable[[bytes], JschedError | None]:
    return lambda _: error


@on_a_loop
async def test_only_calls_of_the_certificate_end() -> None:
    """A certificate that is no good any more ends its own calls, all of them, and nobody else's."""
    calls = Calls()
    tasks = [calls.start(user) for user in ("alice", "alice", "bob")]
    await settle()
    calls.open.end_certificates(lambda pem: Unauthenticated("who?") if pem == certificate("alice") else None)
    await settle()
    assert [task.done() for task in tasks] == [True, True, False]
    assert all(isinstance(task.exception(), Unauthenticated) for task in tasks[:2])
    calls.open.end_where(lambda call: PermissionDenied("no") if call.user == "alice" else None)
    await settle()
    assert not tasks[2].done()
    calls.open.end_where(lambda call: PermissionDenied("no") if call.user == "bob" else None)
    await settle()
    assert isinstance(tasks[2].exception(), PermissionDenied)
    assert (len(calls.open), calls.open.streams("alice"), calls.open.streams("bob")) == (0, 0, 0)


@on_a_loop
async def test_an_ended_call_can_still_be_answered() -> None:
    """After a call was ended, however often, its task goes on unhindered: an answer and a line in the audit follow."""
    calls = Calls()

    async def serve() -> str:
        try:
            await calls.run("alice", for_ever)
        except Unauthenticated as error:
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()
            return error.message
        return "not ended"

    task = asyncio.ensure_future(serve())
    await settle()
    for _ in range(3):
        calls.open.end_certificates(ended(Unauthenticated("who?")))
    assert await task == "who?"


@on_a_loop
async def test_a_handler_can_not_keep_a_call_open() -> None:
    """A handler that swallows its cancellation is ended by the next look; one that returns is refused all the same."""
    calls = Calls()

    async def stubborn() -> None:
        for _ in range(2):
            try:
                await for_ever()
            except asyncio.CancelledError:
                continue

    task = calls.start("alice", stubborn)
    await settle()
    for _ in range(2):
        assert not task.done()
        calls.open.end_certificates(ended(Unauthenticated("who?")))
        await settle()
    assert isinstance(task.exception(), Unauthenticated)


@on_a_loop
async def test_a_client_that_goes_in_the_same_moment_is_gone() -> None:
    """A call that is ended and cancelled by its client is cancelled: there is nobody to answer."""
    calls = Calls()
    task = calls.start("alice")
    await settle()
    calls.open.end_certificates(ended(Unauthenticated("who?")))
    task.cancel()
    await settle()
    assert task.cancelled()
    assert len(calls.open) == 0


@on_a_loop
async def test_a_user_has_so_many_streams_and_others_have_theirs() -> None:
    """Over the limit a call is refused with the limit's name; a stream that has ended makes room."""
    calls = Calls()
    tasks = [calls.start("alice", most=2) for _ in range(3)]
    await settle()
    error = tasks[2].exception()
    assert isinstance(error, ResourceExhausted)
    assert "max_streams_per_user" in error.message
    bob = calls.start("bob", most=2)
    tasks[0].cancel()
    await settle()
    again = calls.start("alice", most=2)
    await settle()
    assert not (again.done() or bob.done())
    assert calls.open.streams("alice") == 2
    for task in (tasks[1], bob, again):
        task.cancel()
    await settle()
    assert (len(calls.open), calls.open.streams("alice")) == (0, 0)
