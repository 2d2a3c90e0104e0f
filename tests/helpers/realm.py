"""Two CAs, a server's files, and clients that trust it: what every test over the wire needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from jsched.certificates import Issued, make_ca, make_client, make_server
from jsched.v1 import jobs_pb2_grpc
from tests.helpers.certificates import Client, write_server_files
from tests.helpers.guarded_server import GuardedServer
from tests.helpers.trust import make_list


class Realm:
    """A server CA and a client CA; `certs_dir` is what a server is started with."""

    def __init__(self, directory: Path) -> None:
        self.server_ca = make_ca("test server CA")
        self.client_ca = make_ca("test client CA")
        self.certs_dir = directory / "certs"
        self._revoked: list[x509.Certificate] = []
        self._lists = 0
        write_server_files(self.certs_dir, make_server(self.server_ca), [self.client_ca])

    def client(self, user: str = "alice", role: str = "user") -> Issued:
        """Return a good client certificate."""
        return make_client(self.client_ca, user, role)

    def revoke(self, *clients: Issued | Client) -> None:
        """Put the next revocation list where the server looks, with these and all that were revoked before."""
        self._revoked += [client.certificate for client in clients]
        self._lists += 1
        self.put("client-ca.crl", make_list(self.client_ca, self._revoked, number=self._lists))

    def put(self, name: str, content: bytes) -> None:
        """Replace one of the server's files, at once."""
        new = self.certs_dir / f"{name}.new"
        new.write_bytes(content)
        new.chmod(0o600)
        new.rename(self.certs_dir / name)

    def channel(self, server: GuardedServer, client: Issued | Client | None) -> grpc.Channel:
        """Return a channel to the server, with this client certificate or none."""
        chain = key = None
        if client is not None:
            key = client.key_pem
            chain = client.chain_pem if isinstance(client, Client) else client.certificate_pem
        credentials = grpc.ssl_channel_credentials(self.server_ca.certificate_pem, key, chain)
        return grpc.secure_channel(server.target, credentials)


def stub(channel: grpc.Channel) -> jobs_pb2_grpc.JobServiceStub:
    """Return JobService's stub."""
    return jobs_pb2_grpc.JobServiceStub(channel)  # type: ignore[no-untyped-call]


def error_info(error: grpc.RpcError) -> Any:
    """Return the google.rpc.ErrorInfo of an answer."""
    assert isinstance(error, grpc.Call)
    answer = rpc_status.from_call(error)
    assert answer is not None
    info = error_details_pb2.ErrorInfo()
    assert answer.details[0].Unpack(info)
    return info
