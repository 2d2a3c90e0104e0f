"""The reference for followers: a server of grpc.aio and mutual TLS that does nothing but send.

It runs the same job itself, keeps its output in memory and sends it to whoever calls, each
message encoded once for all: no files, no identity, no policy, no audit, no restart.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import grpc

from bench.load import Parent
from jsched import certificate_files
from jsched.v1 import jobs_pb2 as pb

_CHUNK = 256 * 1024


def load(task: dict[str, Any], parent: Parent) -> None:
    """Serve until killed; says the port."""
    with subprocess.Popen(task["argv"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        asyncio.run(_serve(writer.stdout.fileno(), Path(task["certs"]), parent))


async def _serve(fd: int, certs: Path, parent: Parent) -> None:
    source = _Source(fd)
    asyncio.get_running_loop().add_reader(fd, source.read)
    server = grpc.aio.server(options=[("grpc.max_concurrent_streams", 2048)])
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(source.follow)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("jsched.v1.JobService", {"StreamOutput": handler}),)
    )
    port = server.add_secure_port("127.0.0.1:0", _credentials(certs))
    await server.start()
    parent.say(f"127.0.0.1:{port}")
    await parent.hear_async()


def _credentials(certs: Path) -> grpc.ServerCredentials:
    key, certificate, client_ca = (
        (certs / name).read_bytes()
        for name in (certificate_files.SERVER_KEY, certificate_files.SERVER_CERTIFICATE, certificate_files.CLIENT_CA)
    )
    return grpc.ssl_server_credentials([(key, certificate)], root_certificates=client_ca, require_client_auth=True)


class _Source:
    """The job's output so far, and those who wait for more of it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._data = bytearray()
        self._ended = False
        self._more = asyncio.Event()
        self._encoded: tuple[int, int, bytes] = (-1, -1, b"")

    def read(self) -> None:
        data = os.read(self.fd, 65536)
        self._data += data
        if not data:
            self._ended = True
            asyncio.get_running_loop().remove_reader(self.fd)
        self._more.set()
        self._more = asyncio.Event()

    async def follow(self, _: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        offset = 0
        while True:
            end = min(len(self._data), offset + _CHUNK)
            if offset < end:
                if self._encoded[:2] != (offset, end):
                    message = pb.StreamOutputResponse(offset=offset, data=bytes(self._data[offset:end]))
                    self._encoded = offset, end, message.SerializeToString()
                await context.write(self._encoded[2])
                offset = end
            elif self._ended:
                break
            else:
                await self._more.wait()
        await context.write(pb.StreamOutputResponse(offset=offset, ended=pb.Job()).SerializeToString())
