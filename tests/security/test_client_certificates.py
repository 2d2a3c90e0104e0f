"""Everybody who must not get in, against a real server: the right status, no handler, a line in the audit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from jsched.certificates import Issued, make_ca, make_client
from jsched.policy.load import load
from jsched.policy.verbs import Reach
from jsched.server.methods import METHODS
from jsched.v1 import jobs_pb2 as pb
from tests.helpers.certificates import Client, make_client_below, make_odd_client, utf8_string
from tests.helpers.guarded_server import GuardedServer
from tests.helpers.openssl import connects
from tests.helpers.realm import Realm, error_info, stub
from tests.helpers.wait import wait_until


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Realm:
    return Realm(tmp_path_factory.mktemp("realm"))


@pytest.fixture(scope="module")
def server(realm: Realm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    with GuardedServer(realm.certs_dir, tmp_path_factory.mktemp("server") / "audit.jsonl") as server:
        yield server


@dataclass
class Attempt:
    """A call that was refused: the error, the audit lines it made, the handlers it reached."""

    error: grpc.RpcError
    lines: list[dict[str, Any]]
    reached: list[str]


def attempt(realm: Realm, server: GuardedServer, client: Client | Issued | None) -> Attempt:
    lines, reached = len(server.audit), len(server.reached)
    with realm.channel(server, client) as channel, pytest.raises(grpc.RpcError) as caught:
        stub(channel).GetJob(pb.GetJobRequest(job_id="j1"), timeout=20)
    return Attempt(caught.value, server.audit[lines:], server.reached[reached:])


OUTSIDE: dict[str, Callable[[Realm], Client | Issued | None]] = {
    "no certificate": lambda realm: None,
    "self-signed": lambda realm: make_odd_client(None),
    "another CA": lambda realm: make_client(make_ca("another CA"), "alice", "admin"),
    "another CA of the same name": lambda realm: make_client(make_ca("test client CA"), "alice", "admin"),
    "the server's CA": lambda realm: make_client(realm.server_ca, "alice", "admin"),
    "expired": lambda realm: make_odd_client(realm.client_ca, ends_in=timedelta(minutes=-1)),
    "not yet valid": lambda realm: make_odd_client(realm.client_ca, starts_in=timedelta(hours=1)),
    "critical role extension": lambda realm: make_odd_client(realm.client_ca, critical_role=True),
    "for servers": lambda realm: make_odd_client(realm.client_ca, purpose=ExtendedKeyUsageOID.SERVER_AUTH),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_handshake_keeps_out(realm: Realm, server: GuardedServer, name: str) -> None:
    """A client whose certificate is no good for TLS is UNAVAILABLE to itself: no call comes about."""
    refused = attempt(realm, server, OUTSIDE[name](realm))
    assert refused.error.code() is grpc.StatusCode.UNAVAILABLE
    assert (refused.lines, refused.reached) == ([], [])


INSIDE: dict[str, tuple[str, dict[str, Any]]] = {
    "role absent": ("0 role extensions", {"roles": []}),
    "role twice": ("Duplicate", {"roles": [utf8_string("user"), utf8_string("admin")]}),
    "the same role twice": ("Duplicate", {"roles": [utf8_string("user"), utf8_string("user")]}),
    "IA5String": ("not a UTF8String", {"roles": [b"\x16\x05admin"]}),
    "PrintableString": ("not a UTF8String", {"roles": [b"\x13\x05admin"]}),
    "OCTET STRING": ("not a UTF8String", {"roles": [b"\x04\x05admin"]}),
    "no DER at all": ("not a UTF8String", {"roles": [b"admin"]}),
    "empty value": ("not a UTF8String", {"roles": [b""]}),
    "trailing byte": ("length", {"roles": [utf8_string("admin") + b"\0"]}),
    "second string": ("length", {"roles": [utf8_string("user") + utf8_string("admin")]}),
    "long-form length": ("length", {"roles": [b"\x0c\x81\x05admin"]}),
    "indefinite length": ("length", {"roles": [b"\x0c\x80admin\0\0"]}),
    "length too short": ("length", {"roles": [b"\x0c\x04admin"]}),
    "length too long": ("length", {"roles": [b"\x0c\x06admin"]}),
    "NUL in the role": ("characters", {"roles": [utf8_string("admin\0x")]}),
    "bad UTF-8": ("not UTF-8", {"roles": [utf8_string(b"admin\xff")]}),
    "overlong UTF-8": ("not UTF-8", {"roles": [utf8_string(b"\xc1\xa1dmin")]}),
    "capitals": ("characters", {"roles": [utf8_string("Admin")]}),
    "look-alike letters": ("characters", {"roles": [utf8_string("\u0430dmin")]}),
    "empty role": ("characters", {"roles": [utf8_string("")]}),
    "line break after the role": ("characters", {"roles": [utf8_string("admin\n")]}),
    "two CNs": ("2 common names", {"users": ["alice", "admin"]}),
    "no CN": ("0 common names", {"users": []}),
    "NUL in the CN": ("characters", {"users": ["admin\0.example.com"]}),
    "line break in the CN": ("characters", {"users": ["alice\nbob"]}),
    "letters of elsewhere in the CN": ("characters", {"users": ["\u0430lice"]}),
    "no purpose": ("no extended key usage", {"purpose": None}),
    "a CA as leaf": ("is a CA's", {"is_ca": True}),
    "a CA between": ("not signed by a CA that is trusted", {"below": "a CA"}),
    "two organizational units and no role": ("0 role extensions", {"units": ["admin", "user"], "roles": []}),
    "small RSA key": ("1024 bits", {"key": rsa.generate_private_key(65537, 1024)}),
}


@pytest.mark.parametrize("name", INSIDE)
def test_odd_certificates_that_pass_the_handshake_give_no_identity(
    realm: Realm, server: GuardedServer, name: str
) -> None:
    """A certificate of our CA that is odd in any way is UNAUTHENTICATED; only the audit says why."""
    reason, oddity = INSIDE[name]
    make = make_client_below if "below" in oddity else make_odd_client
    client = make(realm.client_ca, **oddity)
    refused = attempt(realm, server, client)
    assert (refused.error.code(), refused.error.details()) == (grpc.StatusCode.UNAUTHENTICATED, "invalid identity")
    assert set(error_info(refused.error).metadata) == {"hint"}
    assert refused.reached == []
    (line,) = refused.lines
    assert reason in line["reason"]
    assert (line["decision"], line["status"], line["user"], line["role"]) == ("deny", "UNAUTHENTICATED", "", "")
    assert line["serial"] == f"{client.certificate.serial_number:x}"


@pytest.mark.parametrize("role", ["operator", "root", "admins"])
def test_an_unknown_role_may_do_nothing(realm: Realm, server: GuardedServer, role: str) -> None:
    """A good certificate with a role that no rule knows is PERMISSION_DENIED, and audited with its name."""
    refused = attempt(realm, server, realm.client("mallory", role))
    assert refused.error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refused.reached == []
    (line,) = refused.lines
    assert (line["user"], line["role"], line["rule"]) == ("mallory", role, f"no rule for role {role}")


@pytest.mark.parametrize("role", ["admin", "user", "operator"])
@pytest.mark.parametrize("method", METHODS)
def test_every_role_and_method_over_the_wire(realm: Realm, server: GuardedServer, role: str, method: str) -> None:
    """Every method answers exactly those roles that have its verb."""
    reached = len(server.reached)
    allowed = load("jsched").decide("alice", role, METHODS[method]).reach is not Reach.NONE
    with realm.channel(server, realm.client(role=role)) as channel:
        call: Any = channel.stream_stream(method)
        stream = call(iter([b""]), timeout=20)
        if allowed and "WaitJob" in method:
            # It would not end by itself.
            wait_until(lambda: len(server.reached) > reached, 20, "the call's handler")
            stream.cancel()
        try:
            list(stream)
        except grpc.RpcError as error:
            code = error.code()
        else:
            code = grpc.StatusCode.OK
    assert (code is grpc.StatusCode.PERMISSION_DENIED) != allowed
    name = method.rpartition("/")[2]
    expected = [name] if allowed and "Reflection" not in name else []
    assert server.reached[reached:] == expected


def test_a_certificate_that_expires_is_refused_on_an_open_connection(realm: Realm, server: GuardedServer) -> None:
    """A connection that came about with a good certificate is of no use once that has expired."""

    def used_up(seconds: int) -> grpc.RpcError | None:
        """The answer to a call after the end of a certificate that lives so long; None if none came before."""
        client = make_odd_client(realm.client_ca, ends_in=timedelta(seconds=seconds))
        ends = client.certificate.not_valid_after_utc.timestamp()
        with realm.channel(server, client) as channel:
            jobs = stub(channel)
            try:
                assert jobs.GetJob(pb.GetJobRequest(job_id="j1")).job.owner == "alice"
            except grpc.RpcError:
                assert time.time() > ends
                return None
            wait_until(lambda: time.time() > ends, seconds + 10.0, "the certificate's end")
            with pytest.raises(grpc.RpcError) as caught:
                jobs.GetJob(pb.GetJobRequest(job_id="j1"))
            return caught.value

    # Longer ones where all is slow.
    error = next(filter(None, map(used_up, (3, 15, 60))))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "expired" in server.audit[-1]["reason"]


def test_tls_1_2_is_refused_and_1_3_is_not(realm: Realm, server: GuardedServer, tmp_path: Path) -> None:
    """With a good client certificate, openssl gets in with TLS 1.3 and with nothing older."""
    assert connects(server.port, realm.client(), realm.server_ca, tmp_path, "-tls1_3")
    for version in ("-tls1_2", "-tls1_1", "-tls1"):
        assert not connects(server.port, realm.client(), realm.server_ca, tmp_path, version)
        assert not connects(
            server.port, realm.client(), realm.server_ca, tmp_path, version, "-cipher", "ALL:@SECLEVEL=0"
        )


def test_tls_1_2_would_get_in_without_the_preparation(realm: Realm, tmp_path: Path) -> None:
    """The same openssl gets into an unprepared server with TLS 1.2: the test above sees what it says."""
    with GuardedServer(realm.certs_dir, tmp_path / "audit", prepared=False) as server:
        assert connects(server.port, realm.client(), realm.server_ca, tmp_path, "-tls1_2")


def test_clear_text_is_refused(server: GuardedServer) -> None:
    """A client that speaks HTTP/2 without TLS gets no answer in it."""
    with grpc.insecure_channel(server.target) as channel, pytest.raises(grpc.RpcError) as caught:
        stub(channel).GetJob(pb.GetJobRequest(), timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
