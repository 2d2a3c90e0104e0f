"""Who was let in and may not be here any more: revoked, expired, of a CA that is gone; and who may all the same."""

from __future__ import annotations

import contextlib
import queue
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jsched.certificates import Issued, make_ca, make_client, make_server
from jsched.v1 import jobs_pb2 as pb
from tests.helpers.certificates import Client, make_odd_client
from tests.helpers.guarded_server import MAX_STREAMS, GuardedServer
from tests.helpers.openssl import connects
from tests.helpers.realm import Realm, error_info, stub
from tests.helpers.tunnel import Tunnel, client_context, connect
from tests.helpers.wait import wait_until

DEADLINE = 60.0


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Realm:
    return Realm(tmp_path_factory.mktemp("realm"))


@pytest.fixture(scope="module")
def server(realm: Realm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    with GuardedServer(realm.certs_dir, tmp_path_factory.mktemp("server") / "audit.jsonl") as server:
        yield server


class Held:
    """A stream, a wait, an upload and a watch of the server's health, each of which lasts until it is ended."""

    def __init__(self, realm: Realm, server: GuardedServer, client: Client | Issued) -> None:
        reached = len(server.reached)
        self.stack = ExitStack()
        channel = self.stack.enter_context(realm.channel(server, client))
        jobs = stub(channel)
        never: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.stack.callback(never.put, None)
        upload: Any = channel.stream_unary("/jsched.v1.RootfsService/UploadRootfs")
        health: Any = health_pb2_grpc.HealthStub(channel)
        self.calls: dict[str, Any] = {
            "StreamOutput": jobs.StreamOutput(pb.StreamOutputRequest(job_id="j1", follow=True), timeout=DEADLINE),
            "WaitJob": jobs.WaitJob.future(pb.WaitJobRequest(job_id="j1"), timeout=DEADLINE),
            "UploadRootfs": upload.future(iter(never.get, None), timeout=DEADLINE),
            "Watch": health.Watch(health_pb2.HealthCheckRequest(), timeout=DEADLINE),
        }
        next(self.calls["StreamOutput"])
        next(self.calls["Watch"])
        expected = {"StreamOutput", "WaitJob", "UploadRootfs"}
        wait_until(lambda: expected <= set(server.reached[reached:]), DEADLINE, "the handlers' calls")

    def ends(self) -> dict[str, tuple[grpc.StatusCode, str | None]]:
        """Wait until all have ended, and return how."""
        found = {}
        for name, call in self.calls.items():
            with pytest.raises(grpc.RpcError):
                list(call) if name in ("StreamOutput", "Watch") else call.result()
            found[name] = call.code(), call.details()
        self.stack.close()
        return found


REFUSED = (grpc.StatusCode.UNAUTHENTICATED, "invalid identity")
ALL_REFUSED = dict.fromkeys(("StreamOutput", "WaitJob", "UploadRootfs", "Watch"), REFUSED)


def reasons(server: GuardedServer, client: Client | Issued) -> dict[str, str]:
    """The audit's reason for each method that was refused to this client."""
    serial = f"{client.certificate.serial_number:x}"
    return {
        line["method"].rpartition("/")[2]: line["reason"]
        for line in server.audit
        if line["serial"] == serial and line["status"] == "UNAUTHENTICATED"
    }


def named(server: GuardedServer, client: Client | Issued) -> set[tuple[str, str]]:
    """The users and roles that the refused calls of GetJob with this certificate have in the audit."""
    serial = f"{client.certificate.serial_number:x}"
    return {
        (line["user"], line["role"])
        for line in server.audit
        if line["serial"] == serial and line["status"] == "UNAUTHENTICATED" and line["method"].endswith("/GetJob")
    }


def open_calls(server: GuardedServer) -> int:
    return int(server.ask("open"))


def get(channel: grpc.Channel) -> str:
    """Make a short call, and return the status that it got."""
    try:
        stub(channel).GetJob(pb.GetJobRequest(job_id="j1"), timeout=DEADLINE)
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        return str(error.code().name)
    return "OK"


def test_a_revoked_client_is_out(realm: Realm, server: GuardedServer) -> None:
    """Everything that a client holds open ends when it is revoked, its next call is refused, and others go on."""
    mallory, alice = realm.client("mallory", "admin"), realm.client("alice")
    held = Held(realm, server, mallory)
    with realm.channel(server, mallory) as old, realm.channel(server, alice) as other:
        assert get(old) == "OK"
        stream = stub(other).StreamOutput(pb.StreamOutputRequest(job_id="j1", follow=True), timeout=DEADLINE)
        next(stream)
        realm.revoke(mallory)
        assert held.ends() == ALL_REFUSED
        assert get(old) == "UNAUTHENTICATED"
        with realm.channel(server, mallory) as new:
            assert get(new) == "UNAUTHENTICATED"
        assert get(other) == "OK"
        assert next(stream).offset == 1
        stream.cancel()
    why = reasons(server, mallory)
    assert set(why) == {*ALL_REFUSED, "GetJob"}
    assert set(why.values()) == {"the certificate is revoked"}
    assert named(server, mallory) == {("mallory", "admin")}
    wait_until(lambda: open_calls(server) == 0, DEADLINE, "no calls being open")


def test_a_client_that_does_not_read_is_out_too(realm: Realm, server: GuardedServer) -> None:
    """A stream whose client takes nothing of it ends on the server as any other does."""
    client = realm.client("mallory", "admin")
    with realm.channel(server, client) as channel:
        stream = stub(channel).StreamOutput(pb.StreamOutputRequest(job_id="flood"), timeout=DEADLINE)
        assert next(stream).data
        realm.revoke(client)
        wait_until(lambda: "StreamOutput" in reasons(server, client), DEADLINE, "the stream's line")
        wait_until(lambda: open_calls(server) == 0, DEADLINE, "no calls being open")
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def hold_until_the_end(
    realm: Realm, server: GuardedServer, directory: Path
) -> tuple[Client, ssl.SSLContext, ssl.SSLSession | None, Held]:
    """Make a client whose certificate ends soon, and hold calls open with it; longer ones where all is slow."""
    for seconds in (4, 15, 60):
        client = make_odd_client(realm.client_ca, ends_in=timedelta(seconds=seconds))
        context = client_context(directory, client, realm.server_ca)
        with contextlib.suppress(grpc.RpcError, AssertionError, OSError):
            first = connect(server.port, context)
            with Tunnel(first) as tunnel, grpc.insecure_channel(tunnel.target) as channel:
                assert get(channel) == "OK"
                session = first.session
            return client, context, session, Held(realm, server, client)
    raise AssertionError("no call could be begun within a minute")


def test_an_expired_client_is_out_and_stays_out(realm: Realm, server: GuardedServer, tmp_path: Path) -> None:
    """What is open ends with its certificate, and a session from before is resumed by TLS but of no use."""
    client, context, session, held = hold_until_the_end(realm, server, tmp_path)
    assert held.ends() == ALL_REFUSED
    assert time.time() >= client.certificate.not_valid_after_utc.timestamp()
    again = connect(server.port, context, session)
    assert again.session_reused
    with Tunnel(again) as tunnel, grpc.insecure_channel(tunnel.target) as channel:
        assert get(channel) == "UNAUTHENTICATED"
    assert set(reasons(server, client).values()) == {
        f"the certificate expired at {client.certificate.not_valid_after_utc.isoformat()}"
    }
    assert {bool(user and role) for user, role in named(server, client)} == {True}
    with realm.channel(server, client) as channel:
        assert get(channel) == "UNAVAILABLE"


def test_a_rollover_of_the_client_ca(realm: Realm, server: GuardedServer) -> None:
    """With two CAs both are let in; when the old one is taken out its clients' calls end, and the new one's go on."""
    old_ca, new_ca = make_ca("the old client CA"), make_ca("the new client CA")
    old, new = make_client(old_ca, "alice", "admin"), make_client(new_ca, "bob", "user")
    kept = realm.client_ca.certificate_pem
    realm.put("client-ca.crt", kept + old_ca.certificate_pem + new_ca.certificate_pem)
    for client in (old, new):
        wait_until(lambda client=client: is_let_in(realm, server, client), DEADLINE, "both CAs")  # type: ignore[misc]
    held = Held(realm, server, old)
    with realm.channel(server, new) as channel:
        stream = stub(channel).StreamOutput(pb.StreamOutputRequest(job_id="j1", follow=True), timeout=DEADLINE)
        next(stream)
        realm.put("client-ca.crt", kept + new_ca.certificate_pem)
        assert held.ends() == ALL_REFUSED
        assert next(stream).offset == 1
        assert get(channel) == "OK"
        stream.cancel()
    assert set(reasons(server, old).values()) == {"the certificate is not signed by a CA that is trusted now"}
    wait_until(lambda: not is_let_in(realm, server, old), DEADLINE, "the old CA's end")
    realm.put("client-ca.crt", kept)


def is_let_in(realm: Realm, server: GuardedServer, client: Client | Issued) -> bool:
    with realm.channel(server, client) as channel:
        return get(channel) == "OK"


def test_a_user_holds_so_many_streams(realm: Realm, server: GuardedServer) -> None:
    """One stream over the limit is RESOURCE_EXHAUSTED with the limit's name; short calls and others are served."""
    alice, bob = realm.client("streamer"), realm.client("bob")
    with realm.channel(server, alice) as channel, realm.channel(server, bob) as other:
        jobs, request = stub(channel), pb.StreamOutputRequest(job_id="j1", follow=True)
        streams = [jobs.StreamOutput(request, timeout=DEADLINE) for _ in range(MAX_STREAMS)]
        for stream in streams:
            next(stream)
        for call in (lambda: list(jobs.StreamOutput(request)), lambda: jobs.WaitJob(pb.WaitJobRequest(job_id="j1"))):
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "max_streams_per_user" in (caught.value.details() or "")
            assert error_info(caught.value).metadata["object"] == "max_streams_per_user"
        assert get(channel) == "OK"
        (theirs,) = [stub(other).StreamOutput(request, timeout=DEADLINE)]
        assert next(theirs).offset == 0
        streams.pop().cancel()

        def fits() -> bool:
            stream = jobs.StreamOutput(request, timeout=DEADLINE)
            try:
                next(stream)
            except grpc.RpcError:
                return False
            stream.cancel()
            return True

        wait_until(fits, DEADLINE, "room for another stream")
        for stream in (*streams, theirs):
            stream.cancel()
    wait_until(lambda: open_calls(server) == 0, DEADLINE, "no calls being open")


def test_reloads_under_load_cost_no_good_client_a_call(realm: Realm, server: GuardedServer) -> None:
    """While certificates, CAs and lists change, no call of a good client fails, on old and on new connections."""
    alice = realm.client("steady")
    failures: list[str] = []
    stop = threading.Event()
    made = [0, 0]

    def calls_on_one_connection() -> None:
        with realm.channel(server, alice) as channel:
            while not stop.is_set():
                failures.extend({get(channel)} - {"OK"})
                made[0] += 1

    def connections() -> None:
        while not stop.is_set():
            with realm.channel(server, alice) as channel:
                failures.extend({get(channel)} - {"OK"})
                made[1] += 1

    threads = [threading.Thread(target=work) for work in (calls_on_one_connection, connections)]
    for thread in threads:
        thread.start()
    try:
        kept = realm.client_ca.certificate_pem
        for round_ in range(4):
            pair = make_server(realm.server_ca)
            realm.put("server.key", pair.key_pem)
            realm.put("server.crt", pair.certificate_pem)
            realm.put("client-ca.crt", kept + make_ca(f"CA {round_}").certificate_pem)
            realm.revoke(realm.client(f"somebody-{round_}"))
            serial = f"{pair.certificate.serial_number:x}"
            wait_until(lambda serial=serial: serial in server.log, DEADLINE, "the new pair's use")  # type: ignore[misc]
    finally:
        stop.set()
        for thread in threads:
            thread.join(DEADLINE)
        realm.put("client-ca.crt", kept)
    assert failures == []
    assert min(made) > 10


def test_tls_1_3_alone_before_and_after_a_reload(realm: Realm, server: GuardedServer, tmp_path: Path) -> None:
    """A server that gets a certificate with another type of key lets no TLS 1.2 in with either."""
    client = realm.client()
    for key in (None, rsa.generate_private_key(65537, 2048)):
        pair: Client | Issued = make_server(realm.server_ca)
        if key is not None:
            pair = make_odd_client(
                realm.server_ca,
                users=["server"],
                roles=[],
                hosts=["127.0.0.1"],
                purpose=ExtendedKeyUsageOID.SERVER_AUTH,
                key=key,
            )
        realm.put("server.key", pair.key_pem)
        realm.put("server.crt", pair.certificate_pem)
        serial = f"{pair.certificate.serial_number:x}"
        wait_until(lambda serial=serial: serial in server.log, DEADLINE, "the new pair's use")  # type: ignore[misc]
        assert connects(server.port, client, realm.server_ca, tmp_path, "-tls1_3")
        for suites in ([], ["-cipher", "ALL:@SECLEVEL=0"], ["-cipher", "PSK:@SECLEVEL=0", "-psk", "00"]):
            assert not connects(server.port, client, realm.server_ca, tmp_path, "-tls1_2", *suites)
        assert server.ask("probe") == "ok"
        assert is_let_in(realm, server, client)


def test_sslscan_sees_tls_1_3_alone(server: GuardedServer) -> None:
    """The scanner finds TLS 1.3 and nothing older."""
    if shutil.which("sslscan") is None:
        pytest.skip("sslscan")
    words = ["sslscan", "--no-colour", "--no-ciphersuites", "--no-heartbleed", server.target]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=DEADLINE).stdout
    seen = dict(re.findall(r"^((?:SSL|TLS)v[\d.]+)\s+(enabled|disabled)$", said, re.MULTILINE))
    assert {version for version, state in seen.items() if state == "enabled"} == {"TLSv1.3"}
    assert {"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2"} <= seen.keys()
