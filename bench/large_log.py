"""A log of 1 GiB to one client and to four, beside what TLS 1.3 carries with nothing around it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import grpc

from bench import procfs
from bench.channel import SERVICE, channel
from bench.figure import Figure, Target
from bench.harness import Bench
from bench.load import Parent
from jsched import certificate_files
from jsched.client.connection import tls_context
from jsched.client.settings import load as load_settings
from jsched.job import JobSpec
from jsched.v1 import jobs_pb2 as pb

_WRITE = 64 * 1024
_CLIENTS = 4
_GB = 1e9
_MB = 1e6


def measure(bench: Bench) -> list[Figure]:
    size, rounds = (256 * 1024 * 1024, 2) if bench.quick else (1024 * 1024 * 1024, 5)
    one: list[tuple[float, float]] = []
    four: list[tuple[float, float]] = []
    raw: list[tuple[float, float]] = []
    with bench.server() as server, bench.load("large_log", role="serve", size=size) as bare:
        address = bare.receive()
        client = server.client()
        job = client.wait(client.start(JobSpec(["head", "-c", str(size), "/dev/urandom"])).id)
        # What is measured is the way from the page cache to the client, not the disk.
        os.sync()
        for number in range(rounds + 1):
            results = (
                _carry(bench, bare.pid, 1, size, role="raw", address=address),
                _carry(bench, server.pid, 1, size, role="grpc", address=server.address, job=job.id),
                _carry(bench, server.pid, _CLIENTS, size, role="grpc", address=server.address, job=job.id),
            )
            if number:
                for kept, result in zip((raw, one, four), results, strict=True):
                    kept.append(result)
    (raw_rate, raw_cpu), (rate, cpu), (four_rate, four_cpu) = (
        (median(rates), median(cpus)) for rates, cpus in (zip(*kept, strict=True) for kept in (raw, one, four))
    )
    name = f"{size >> 20} MiB log to"
    bare_name = "TLS 1.3 alone"
    return [
        Figure(
            "large_log", f"{name} one client", rate / _MB, "MB/s", bare_name, raw_rate / _MB, Target(0.7, True, True)
        ),
        Figure(
            "large_log", f"{name} one client, server CPU a GB", cpu * _GB, "s", bare_name, raw_cpu * _GB, Target(1.5)
        ),
        Figure(
            "large_log",
            f"{name} each of {_CLIENTS} clients, sum",
            four_rate / _MB,
            "MB/s",
            "one client",
            rate / _MB,
            Target(1, True, True),
        ),
        Figure(
            "large_log",
            f"{name} each of {_CLIENTS} clients, server CPU a GB",
            four_cpu * _GB,
            "s",
            "one client",
            cpu * _GB,
            None,
        ),
    ]


def _carry(bench: Bench, pid: int, clients: int, size: int, **task: Any) -> tuple[float, float]:
    """Let clients read all at the same time; return bytes a second and CPU seconds of `pid` a byte."""
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(bench.load("large_log", size=size, **task)) for _ in range(clients)]
        for load in loads:
            load.receive()
        cpu = procfs.cpu_seconds(pid)
        for load in loads:
            load.send()
        spans = [load.receive() for load in loads]
        cpu = procfs.cpu_seconds(pid) - cpu
    began, ended = min(span[0] for span in spans), max(span[1] for span in spans)
    return clients * size / (ended - began), cpu / (clients * size)


def load(task: dict[str, Any], parent: Parent) -> None:
    roles: dict[str, Callable[[dict[str, Any], Parent], None]] = {"serve": _serve, "raw": _read_raw, "grpc": _read_grpc}
    roles[task["role"]](task, parent)


def _serve(task: dict[str, Any], parent: Parent) -> None:
    """Send `size` bytes to whoever connects and says a byte."""
    certs = Path(task["certs"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certs / certificate_files.SERVER_CERTIFICATE, certs / certificate_files.SERVER_KEY)
    context.load_verify_locations(certs / certificate_files.CLIENT_CA)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        parent.say(f"127.0.0.1:{listener.getsockname()[1]}")
        piece = os.urandom(_WRITE)
        while True:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)
                for _ in range(task["size"] // _WRITE):
                    secured.sendall(piece)


def _read_raw(task: dict[str, Any], parent: Parent) -> None:
    settings = load_settings({"config": Path(task["certs"]) / "admin.toml", "server": task["address"]}, environ={})
    host, _, port = task["address"].rpartition(":")
    buffer = bytearray(4 * _WRITE)
    with (
        socket.create_connection((host, int(port))) as connection,
        tls_context(settings).wrap_socket(connection, server_hostname=host) as secured,
    ):
        parent.say("ready")
        parent.hear()
        began = time.monotonic()
        secured.sendall(b".")
        left = task["size"]
        while left:
            left -= secured.recv_into(buffer)
        parent.say((began, time.monotonic()))


def _read_grpc(task: dict[str, Any], parent: Parent) -> None:
    asyncio.run(_stream(task, parent))


async def _stream(task: dict[str, Any], parent: Parent) -> None:
    async with channel(task) as connection:
        method: Any = connection.unary_stream(f"{SERVICE}StreamOutput", pb.StreamOutputRequest.SerializeToString)
        await connection.channel_ready()
        parent.say("ready")
        await parent.hear_async()
        began = time.monotonic()
        call = method(pb.StreamOutputRequest(job_id=task["job"], follow=True))
        offset = 0
        while (message := await call.read()) is not grpc.aio.EOF:
            offset = _check(message, offset)
        parent.say((began, time.monotonic()))
    assert offset == task["size"], f"{offset} bytes came"


def _check(message: bytes, offset: int) -> int:
    """Return the offset after a StreamOutputResponse, read by hand: protobuf would copy what it carries twice.

    Source: https://protobuf.dev/programming-guides/encoding/
    """
    at = 0
    if message[at] == 1 << 3:
        found, at = _varint(message, at + 1)
        assert found == offset, f"a message at {found} after {offset}"
    if message[at] != (2 << 3 | 2):
        return offset
    length, at = _varint(message, at + 1)
    assert at + length == len(message), "a message that holds more than output"
    return offset + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
