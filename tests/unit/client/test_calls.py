"""Unary calls: what is sent again, what is not, and what errors become."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from jsched import errors
from jsched.certificates import make_ca
from jsched.client import AsyncClient, Client
from jsched.job import JobSpec
from jsched.v1 import jobs_pb2 as pb
from tests.helpers.certificates import make_odd_client
from tests.unit.client.conftest import JOB_ID, Scripted, ended_message, give, job_message, refuse

CUT = grpc.StatusCode.UNAVAILABLE
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.JschedError)
    and kind not in (errors.JschedError, errors.Unauthenticated)
]


def refuse_with_info(code: grpc.StatusCode, message: str, domain: str = "jsched", **info: Any) -> Any:
    """Return an answer as jsched's server refuses: with an ErrorInfo."""

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        packed = Packed()
        packed.Pack(error_details_pb2.ErrorInfo(domain=domain, **info))
        context.abort_with_status(
            rpc_status.to_status(status_pb2.Status(code=code.value[0], message=message, details=[packed]))
        )

    return answer


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_error_comes_back_as_its_class(scripted: Scripted, kind: type[errors.JschedError]) -> None:
    """The class, message, object and hint that the server raised are the client's."""
    metadata = {"object": "the thing", "hint": "do this", "step": "exec", "errno": "13", "job_id": JOB_ID}
    refusal = refuse_with_info(grpc.StatusCode.ABORTED, "it does not work", reason=kind.kind.upper(), metadata=metadata)
    scripted.script = [refusal]
    with Client(scripted.config(0)) as client, pytest.raises(kind) as caught:
        client.get(JOB_ID)
    error = caught.value
    assert type(error) is kind
    assert (error.message, error.obj, error.hint) == ("it does not work", "the thing", "do this")
    if isinstance(error, errors.StartFailed):
        assert (error.step, error.errno, error.job_id) == ("exec", 13, JOB_ID)


def test_a_certificate_that_is_not_accepted_any_more_is_named(scripted: Scripted) -> None:
    """A server that knows a caller no more says little; the client names the certificate, and calls no second time."""
    refusal = refuse_with_info(
        grpc.StatusCode.UNAUTHENTICATED, "invalid identity", reason="UNAUTHENTICATED", metadata={"hint": "ask"}
    )
    scripted.script = [refusal]
    config = scripted.config()
    with Client(config) as client, pytest.raises(errors.Unauthenticated) as caught:
        client.wait(JOB_ID)
    error = caught.value
    assert error.message == (
        f"the server at {config.server} does not accept your certificate {config.cert} (invalid identity)"
    )
    assert "revoked" in error.hint
    assert len(scripted.requests) == 1


def test_a_certificate_that_has_ended_meanwhile_is_said_to_have(scripted: Scripted, tmp_path: Path) -> None:
    """Where the reason is in the caller's own certificate's dates, that is what the caller is told."""
    config = scripted.config()
    refusal = refuse_with_info(grpc.StatusCode.UNAUTHENTICATED, "invalid identity", reason="UNAUTHENTICATED")
    scripted.script = [refusal]
    with Client(config) as client:
        ended = make_odd_client(make_ca("test CA"), ends_in=timedelta(minutes=-1))
        ended_path = tmp_path / "ended.crt"
        ended_path.write_bytes(ended.certificate_pem)
        client.config = replace(config, cert=ended_path)
        with pytest.raises(errors.Unauthenticated, match=r"ended\.crt expired on "):
            client.get(JOB_ID)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"roles": ()}, "the certificate has 0 role extensions"),
        ({"roles": (b"\x0c\x05Admin",)}, "the role 'Admin' has characters"),
        ({"users": ("alice", "bob")}, "the certificate has 2 common names"),
        ({"users": ()}, "the certificate has 0 common names"),
        ({"purpose": None}, "the certificate has no extended key usage"),
        ({"is_ca": True}, "the certificate is a CA's"),
    ],
)
def test_what_is_wrong_with_the_callers_certificate_is_said(
    scripted: Scripted, tmp_path: Path, odd: dict[str, Any], words: str
) -> None:
    """The server says no more than that an identity is invalid; the client says what its certificate lacks."""
    error = refused_with(scripted, tmp_path, odd)
    assert words in error.message
    assert "one user and one role" in error.hint
    assert "revoked" not in error.hint


def test_a_role_in_the_organizational_unit_alone(scripted: Scripted, tmp_path: Path) -> None:
    """A certificate that some servers accept is not said to be wrong, but that its role may be misplaced."""
    error = refused_with(scripted, tmp_path, {"roles": (), "units": ("admin",)})
    assert "(invalid identity)" in error.message
    assert "revoked, or its role is not where the server looks: the certificate has 0 role extensions" in error.hint


def refused_with(scripted: Scripted, tmp_path: Path, odd: dict[str, Any]) -> errors.JschedError:
    """Return the error of a client with an odd certificate whose identity the server calls invalid."""
    scripted.script = [refuse_with_info(grpc.StatusCode.UNAUTHENTICATED, "invalid identity", reason="UNAUTHENTICATED")]
    config = scripted.config()
    path = tmp_path / "odd.crt"
    path.write_bytes(make_odd_client(make_ca("test CA"), **odd).certificate_pem)
    with Client(config) as client, pytest.raises(errors.Unauthenticated) as caught:
        client.config = replace(config, cert=path)
        client.get(JOB_ID)
    return caught.value


def test_a_foreign_error_info_is_not_trusted(scripted: Scripted) -> None:
    """An ErrorInfo of another domain leaves the status code to decide."""
    scripted.script = [refuse_with_info(grpc.StatusCode.NOT_FOUND, "gone", "example.com", reason="INTERNAL")]
    with Client(scripted.config()) as client, pytest.raises(errors.NotFound):
        client.get(JOB_ID)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidArgument),
        (grpc.StatusCode.OUT_OF_RANGE, errors.OutOfRange),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExists),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.FailedPrecondition),
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, errors.PermissionDenied),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhausted),
        (grpc.StatusCode.DATA_LOSS, errors.DataLoss),
        (grpc.StatusCode.INTERNAL, errors.Internal),
        (grpc.StatusCode.ABORTED, errors.Internal),
    ],
)
def test_without_error_info_the_code_decides(
    scripted: Scripted, code: grpc.StatusCode, kind: type[errors.JschedError]
) -> None:
    """A status from something that is not jsched's code still becomes the nearest class."""
    scripted.script = [refuse(code, "so it is")]
    with Client(scripted.config()) as client, pytest.raises(kind, match="so it is") as caught:
        client.get(JOB_ID)
    if kind in (errors.Unauthenticated, errors.PermissionDenied):
        assert "admin.crt" in caught.value.hint


@pytest.mark.parametrize(
    ("details", "limit"),
    [
        ("SERVER: Received message larger than max (9 vs. 8)", "max_message_size"),
        ("Decompressed message larger than max", "max_message_size"),
        ("received metadata size exceeds hard limit (9 vs. 8)", "max_metadata_size"),
    ],
)
def test_a_limit_that_grpc_does_not_name(scripted: Scripted, details: str, limit: str) -> None:
    """What gRPC itself refuses for its size is reported with the name that the server's administrator knows."""
    scripted.script = [refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, details)]
    with Client(scripted.config()) as client, pytest.raises(errors.ResourceExhausted, match=limit) as caught:
        client.get(JOB_ID)
    assert (caught.value.obj, details in caught.value.message) == (limit, True)


def test_another_service_is_told_apart(scripted: Scripted) -> None:
    """A server that does not know the call is said to be no jsched of this version."""
    scripted.script = [refuse(grpc.StatusCode.UNIMPLEMENTED)]
    with Client(scripted.config()) as client, pytest.raises(errors.Internal, match="no jsched of this version"):
        client.get(JOB_ID)


def test_a_start_is_sent_again_with_the_same_request_id(scripted: Scripted) -> None:
    """A start whose answer got lost is asked for again, so that there is one job and the caller knows it."""
    scripted.script = [refuse(CUT), refuse(CUT), give(pb.StartJobResponse(job_id=JOB_ID, job=job_message()))]
    with Client(scripted.config()) as client:
        assert client.start(JobSpec(["true"])).id == JOB_ID
    assert len({request.request_id for request in scripted.requests}) == 1
    assert scripted.requests[0].request_id != ""


def test_the_callers_request_id_is_used(scripted: Scripted) -> None:
    """A request id that is given goes to the server as it is, sync and aio."""

    async def main() -> None:
        async with AsyncClient(scripted.config()) as client:
            await client.start(JobSpec(["true"]), request_id="two")

    answer = give(pb.StartJobResponse(job_id=JOB_ID, job=job_message()))
    scripted.script = [answer, refuse(CUT), answer]
    with Client(scripted.config()) as client:
        client.start(JobSpec(["true"]), request_id="one")
    asyncio.run(main())
    assert [request.request_id for request in scripted.requests] == ["one", "two", "two"]


def test_a_request_id_that_is_empty_is_refused(scripted: Scripted) -> None:
    """An empty request id, which would be none and start a job each time, is an error before anything is sent."""
    with Client(scripted.config()) as client, pytest.raises(errors.InvalidArgument, match="request_id"):
        client.start(JobSpec(["true"]), request_id="")
    assert scripted.requests == []


def test_reading_waiting_and_stopping_are_sent_again(scripted: Scripted) -> None:
    """What does no harm twice is sent again after a cut; wait goes on with the id, whatever it was asked with."""
    seen: list[int] = []
    scripted.script = [
        refuse(CUT), give(pb.GetJobResponse(job=job_message(name="n"))),
        refuse(CUT), give(pb.ListJobsResponse()),
        refuse(CUT), give(pb.StopJobResponse(job=ended_message(), already_ended=True)),
        give(pb.GetJobResponse(job=job_message(name="n"))), refuse(CUT), give(pb.WaitJobResponse(job=ended_message())),
    ]  # fmt: skip
    with Client(scripted.config()) as client:
        client.get("n")
        client.list()
        client.stop("n")
        client.wait("n", on_reconnect=lambda error, attempt: seen.append(attempt))
    assert seen == [1]
    assert [request.job_id for request in scripted.requests[-3:]] == ["n", JOB_ID, JOB_ID]


def test_a_delete_is_not_sent_again(scripted: Scripted) -> None:
    """A delete whose answer got lost is an error: the second answer would be about nothing."""
    scripted.script = [refuse(CUT)]
    with Client(scripted.config()) as client, pytest.raises(errors.Unavailable):
        client.delete(JOB_ID)
    assert len(scripted.requests) == 1


def test_all_pages_are_read(scripted: Scripted) -> None:
    """jobs() goes on from page to page until there is no token, sync and aio."""

    async def main() -> list[str | None]:
        async with AsyncClient(scripted.config()) as client:
            return [job.spec.name async for job in client.jobs()]

    pages = [
        give(pb.ListJobsResponse(jobs=[job_message(name="a"), job_message(name="b")], next_page_token="more")),
        give(pb.ListJobsResponse(jobs=[], next_page_token="yet more")),
        give(pb.ListJobsResponse(jobs=[job_message(name="c")])),
    ]
    scripted.script = list(pages)
    with Client(scripted.config()) as client:
        assert [job.spec.name for job in client.jobs(page_size=2)] == ["a", "b", "c"]
    assert [request.page_token for request in scripted.requests] == ["", "more", "yet more"]
    scripted.script = list(pages)
    assert asyncio.run(main()) == ["a", "b", "c"]


def test_a_server_that_answered_once_is_waited_for(scripted: Scripted) -> None:
    """After one answer a connection that is refused is tried again; a new client gives up at once."""
    scripted.script = [give(pb.ListJobsResponse())] * 2
    with Client(scripted.config()) as client:
        client.list()
        scripted.stop()
        with Client(scripted.config()) as other, pytest.raises(errors.Unavailable, match=r"connection refused"):
            other.list()
        attempts: list[int] = []

        def start_again(error: errors.JschedError, attempt: int) -> None:
            attempts.append(attempt)
            if attempt == 2:
                scripted.script = [give(pb.WaitJobResponse(job=ended_message()))]
                scripted.start()

        assert client.wait(JOB_ID, on_reconnect=start_again).id == JOB_ID
        assert attempts[:2] == [1, 2]


def hang_until(begun: threading.Event, released: threading.Event) -> Any:
    """Return an answer that is not given until the call is cut."""

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(released.set)
        begun.set()
        released.wait(20)
        return pb.WaitJobResponse(job=job_message())

    return answer


def test_a_client_that_was_closed(scripted: Scripted, tmp_path: Path) -> None:
    """What is under way when a client is closed, and what is asked of it later, is refused, not gRPC's own error."""
    begun = threading.Event()
    scripted.script = [hang_until(begun, threading.Event())]
    archive = tmp_path / "archive.tar"
    archive.write_bytes(b"x")
    client = Client(scripted.config())

    def close() -> None:
        begun.wait(20)
        client.close()

    closing = threading.Thread(target=close)
    closing.start()
    closed = pytest.raises(errors.FailedPrecondition, match="the client is closed")
    with closed:
        client.wait(JOB_ID)
    closing.join()
    with closed:
        client.start(JobSpec(["true"]))
    with closed:
        client.rootfs.upload(archive, "name")
    client.close()
    assert len(scripted.requests) == 1


def test_an_aio_client_that_was_closed(scripted: Scripted, tmp_path: Path) -> None:
    """As for the blocking client; and who waited is not taken for cancelled."""

    async def main() -> None:
        begun = threading.Event()
        scripted.script = [hang_until(begun, threading.Event())]
        archive = tmp_path / "archive.tar"
        archive.write_bytes(b"x")
        client = AsyncClient(scripted.config())
        waiting = asyncio.ensure_future(client.wait(JOB_ID))
        assert await asyncio.to_thread(begun.wait, 20)
        await client.close()
        closed = pytest.raises(errors.FailedPrecondition, match="the client is closed")
        with closed:
            await waiting
        with closed:
            await client.start(JobSpec(["true"]))
        with closed:
            await client.rootfs.upload(archive, "name")
        await client.close()
        assert len(scripted.requests) == 1

    asyncio.run(main())
