from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from jsched.certificates import Issued, make_ca, make_client
from jsched.errors import JschedError, ResourceExhausted
from jsched.policy.load import load
from jsched.server.audit import Entry
from jsched.server.call import begin_call
from jsched.server.callers import Callers
from jsched.server.identity import InvalidIdentity
from jsched.server.policy_source import PolicySource
from jsched.server.trust import Trust
from tests.helpers.certificates import Client, make_odd_client
from tests.helpers.trust import make_list, trusting

CA = make_ca("test CA")
HOUR = 3600.0
POLICIES = PolicySource(load("open"), "open")


class Trusted:
    """What is trusted, as the test says."""

    def __init__(self, trust: Trust) -> None:
        self.current = trust


class Context:
    """What grpc says of a connection."""

    def __init__(self, client: Client | Issued) -> None:
        self._pem = client.certificate_pem

    def auth_context(self) -> dict[str, list[bytes]]:
        """The connection's TLS."""
        return {"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [self._pem]}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The wall clock, as the test says."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def make_callers(trusted: Trusted, *, max_streams: int = 0) -> Callers:
    return Callers(trusted, PolicySource(load("jsched"), "jsched"), max_streams=max_streams, max_requests=2)


def serve(callers: Callers, client: Client | Issued, method: str) -> asyncio.Task[None]:
    """Begin a call that lasts until it is ended, as the gate does."""

    async def call() -> None:
        call = begin_call(Entry(method, "peer", 0.0))
        context: Any = Context(client)
        try:
            callers.check_identity(call, context)
            callers.check_policy(call, context)
            callers.check_streams(call, context)
            await asyncio.get_running_loop().create_future()
        finally:
            callers.calls.leave(call)

    return asyncio.ensure_future(call())


STREAM = "/jsched.v1.JobService/StreamOutput"
STOP = "/jsched.v1.JobService/StopJob"
HEALTH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def on_a_loop(test: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await asyncio.wait_for(test(), 30)

    asyncio.run(whole())


async def looks(callers: Callers, *tasks: asyncio.Task[None]) -> list[str]:
    """Look, and say of each call whether it is open, or why it was ended."""
    callers.look()
    await settle()
    return [_end(task) for task in tasks]


def _end(task: asyncio.Task[None]) -> str:
    if not task.done():
        return "open"
    error = task.exception()
    assert isinstance(error, JschedError)
    return error.reason if isinstance(error, InvalidIdentity) else error.message


def test_calls_end_with_their_certificates_one_after_the_other(clock: list[float]) -> None:
    """Each look ends the calls whose certificates have ended by then, those of health too, and no others."""

    async def test() -> None:
        callers = make_callers(Trusted(trusting(CA)))
        clients = [make_odd_client(CA, ends_in=timedelta(hours=hours)) for hours in (2, 1, 3)]
        tasks = [serve(callers, clients[0], STREAM), serve(callers, clients[1], HEALTH)]
        await settle()
        assert await looks(callers, *tasks) == ["open", "open"]
        tasks.append(serve(callers, clients[2], STREAM))
        await settle()
        for hours, expected in (1, "oxo"), (1, "xxo"), (0.1, "xxo"), (1, "xxx"):
            clock[0] += hours * HOUR
            found = await looks(callers, *tasks)
            assert ["open" if state == "o" else "ended" for state in expected] == [
                "open" if end == "open" else "ended" for end in found
            ]
        assert all(end.startswith("the certificate expired at ") for end in found)
        assert len(callers.calls) == 0

    on_a_loop(test)


def test_watches_are_counted_by_certificate(clock: list[float]) -> None:
    """Watches of health are no more than the server's limit, and take no place of a stream's."""

    async def test() -> None:
        callers = make_callers(Trusted(trusting(CA)), max_streams=2)
        alice, nobody = make_client(CA, "alice", "user"), make_odd_client(CA, roles=())
        streams = [serve(callers, alice, STREAM) for _ in range(2)]
        watches = [serve(callers, alice, HEALTH) for _ in range(3)]
        others = [serve(callers, nobody, HEALTH) for _ in range(3)]
        await settle()
        refused = "has 2 watches of health open, as many as max_streams_per_user allows"
        found = await looks(callers, *streams, *watches, *others)
        assert [end if end == "open" else end[end.index("has ") :] for end in found] == [
            *("open", "open"),
            *("open", "open", refused),
            *("open", "open", refused),
        ]
        watches[0].cancel()
        await settle()
        assert await looks(callers, serve(callers, alice, HEALTH)) == ["open"]

    on_a_loop(test)


def test_streams_of_reflection_are_few(clock: list[float]) -> None:
    """A user has no more streams of reflection than requests that are taken in at once, beside all streams."""

    async def test() -> None:
        callers = make_callers(Trusted(trusting(CA)), max_streams=1)
        alice, bob = make_client(CA, "alice", "user"), make_client(CA, "bob", "user")
        calls = [serve(callers, alice, STREAM), *(serve(callers, alice, REFLECTION) for _ in range(3))]
        calls.append(serve(callers, bob, REFLECTION))
        await settle()
        refused = "user alice has 2 streams of reflection open, as many as max_requests_per_user allows"
        assert await looks(callers, *calls) == ["open", "open", "open", refused, "open"]
        calls[1].cancel()
        await settle()
        assert await looks(callers, serve(callers, alice, REFLECTION)) == ["open"]

    on_a_loop(test)


def test_stops_are_counted_apart(clock: list[float]) -> None:
    """A user's stops under way are no more than the server's limit, and who has all streams can still stop a job."""

    async def test() -> None:
        callers = make_callers(Trusted(trusting(CA)), max_streams=2)
        alice, bob = make_client(CA, "alice", "admin"), make_client(CA, "bob", "admin")
        streams = [serve(callers, alice, STREAM) for _ in range(2)]
        stops = [serve(callers, alice, STOP) for _ in range(3)]
        await settle()
        refused = "user alice has 2 stops open, as many as max_streams_per_user allows"
        found = await looks(callers, *streams, *stops, serve(callers, bob, STOP))
        assert found == ["open", "open", "open", "open", refused, "open"]
        stops[0].cancel()
        await settle()
        assert await looks(callers, serve(callers, alice, STOP)) == ["open"]

    on_a_loop(test)


def test_a_clock_that_is_set_ends_what_it_has_to(clock: list[float]) -> None:
    """A clock that goes back to before a certificate's beginning ends its calls, as one that goes on past its end."""

    async def test() -> None:
        callers = make_callers(Trusted(trusting(CA)))
        task = serve(callers, make_client(CA, "alice", "user"), STREAM)
        await settle()
        assert await looks(callers, task) == ["open"]
        clock[0] -= HOUR
        (end,) = await looks(callers, task)
        assert end.startswith("the certificate is not valid before ")

    on_a_loop(test)


def test_a_change_of_what_is_trusted_counts_at_the_next_look() -> None:
    """A revocation and the end of trust in a CA end calls, whatever the clock says."""

    async def test() -> None:
        other = make_ca("another CA")
        trusted = Trusted(trusting(CA, other))
        callers = make_callers(trusted)
        clients = [make_client(ca, "alice", "user") for ca in (CA, CA, other)]
        tasks = [serve(callers, client, STREAM) for client in clients]
        await settle()
        assert await looks(callers, *tasks) == ["open"] * 3
        trusted.current = trusting(CA, other, lists=[make_list(CA, [clients[0].certificate])])
        assert await looks(callers, *tasks) == ["the certificate is revoked", "open", "open"]
        trusted.current = trusting(other)
        gone = "the certificate is not signed by a CA that is trusted now"
        assert await looks(callers, *tasks) == ["the certificate is revoked", gone, "open"]
        tasks[2].cancel()

    on_a_loop(test)


def test_a_look_costs_nothing_while_nothing_can_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same trust and before the first end, no certificate is looked up."""

    async def test() -> None:
        callers = make_callers(Trusted(trusting(CA)))
        task = serve(callers, make_client(CA, "alice", "user"), STREAM)
        await settle()
        callers.look()
        monkeypatch.setattr(Trust, "leaf", None)
        assert await looks(callers, task) == ["open"]
        task.cancel()

    on_a_loop(test)


def test_only_calls_that_last_are_counted() -> None:
    """The limit is for streams, waits and uploads of one user; other calls and health are not refused by it."""

    async def test() -> None:
        callers = make_callers(Trusted(trusting(CA)), max_streams=1)
        alice = make_client(CA, "alice", "admin")
        names = ("StreamOutput", "WaitJob", "GetJob", "ListJobs")
        tasks = [serve(callers, alice, f"/jsched.v1.JobService/{name}") for name in names]
        tasks += [serve(callers, alice, "/jsched.v1.RootfsService/UploadRootfs"), serve(callers, alice, HEALTH)]
        await settle()
        assert [task.done() for task in tasks] == [False, True, False, False, True, False]
        assert all(isinstance(task.exception(), ResourceExhausted) for task in (tasks[1], tasks[4]))
        for task in tasks:
            task.cancel()

    on_a_loop(test)
