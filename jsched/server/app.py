"""The server, put together.

Started by: `jsched serve` (by hand, by systemd, by `jsched dev up`).
Owns: the port, the database, the audit trail, the launcher it starts.
Ends: on SIGTERM or SIGINT, after it has drained; or if the database fails.
Outlives it: every running job with its monitor, every log file, the data directory.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import resource
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from jsched.config import Config, split_address
from jsched.engine import Engine
from jsched.environment import DEFAULT_PATH, home_directory
from jsched.errors import FailedPrecondition
from jsched.policy.starts import Defaults
from jsched.server import convert, heap, lifetime, rootfs_service, service, tls, wire
from jsched.server.audit import Audit
from jsched.server.callers import Callers
from jsched.server.credentials import current_credentials
from jsched.server.handshakes import Handshakes
from jsched.server.hangup import Hangup
from jsched.server.interceptors import Gate
from jsched.server.listener import Listener
from jsched.server.open_calls import keep_looking
from jsched.server.policy_source import PolicySource
from jsched.server.rootfs_service import RootfsService
from jsched.server.service import JobService
from jsched.server.trust import read_trust
from jsched.server.trust_watch import TrustWatch

_LOG = logging.getLogger(__name__)
_SERVICES = (service.SERVICE, rootfs_service.SERVICE)


async def serve(config: Config, certs_dir: Path, watched: Handshakes | None) -> None:
    """Serve until a signal says stop; `tls.prepare` has been called before grpc was imported.

    Refused handshakes that are `watched` get their lines in the audit.

    Raises FailedPrecondition if the port is taken, TLS 1.2 gets in, or the engine can't open.
    """
    _raise_open_file_limit()
    heap.prepare()
    stop = _stop_on_signals()
    policies = await PolicySource.open(config.policy)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine(config, frame=convert.output_head))
        audit = await stack.enter_async_context(Audit(config.audit_log, config.audit))
        hangup = await stack.enter_async_context(Hangup())
        hangup.actions.append(functools.partial(lifetime.reload_policy, audit, policies))
        accepting = asyncio.Event()
        trust, callers = await _trust(stack, config, certs_dir, policies, audit)
        hangup.actions.append(trust.look_now)
        gate = Gate(audit, callers, accepting.is_set, config.wire)
        jobs = JobService(engine, await asyncio.to_thread(_defaults, config), config.wire)
        handlers = (jobs.handler(), RootfsService(engine.rootfs).handler())
        answers = health.HealthServicer()
        listener = Listener(
            functools.partial(_server, config, gate, handlers, answers, trust), config.listen, audit.note
        )
        await listener.start()
        stack.push_async_callback(listener.stop, 0.0)
        host, port = split_address(listener.address)
        await asyncio.to_thread(tls.probe, host, port)
        # What lives now lives as long as the server: no collection needs to look at it again.
        gc.collect()
        gc.freeze()
        await lifetime.note_unrecorded_starts(audit, engine)
        await lifetime.note_start(audit, config, policies.policy, f"{host}:{port}")
        if watched is not None:
            watched.begin(audit.note)
            stack.callback(watched.end)
        accepting.set()
        await _report(answers, health_pb2.HealthCheckResponse.SERVING)
        _announce(host, port)
        await asyncio.wait((stop, engine.failed), return_when=asyncio.FIRST_COMPLETED)
        stopped = await _drain(config, listener, engine, answers, accepting)
        if watched is not None:
            watched.end()
        await lifetime.note_stop(audit, "the database failed" if engine.failed.done() else "asked to")
        if engine.failed.done():
            raise engine.failed.result()
    if not stopped:
        _leave_at_once()


def _defaults(config: Config) -> Defaults:
    return Defaults(config.limits.default, config.isolation, DEFAULT_PATH, home_directory())


async def _trust(
    stack: AsyncExitStack, config: Config, certs_dir: Path, policies: PolicySource, audit: Audit
) -> tuple[TrustWatch, Callers]:
    """Begin to watch what is trusted, and to end the calls of those who are not any more."""
    watch = TrustWatch(certs_dir, await asyncio.to_thread(read_trust, certs_dir), note=audit.note)
    stack.push_async_callback(asyncio.to_thread, watch.close)
    callers = Callers(
        watch,
        policies,
        max_streams=config.wire.max_streams_per_user,
        max_requests=config.wire.max_requests_per_user,
    )
    watch.listeners.append(callers.look)
    policies.changed.append(callers.look_at_policy)
    looking = asyncio.ensure_future(keep_looking(callers.look))
    stack.callback(looking.cancel)
    return watch, callers


def _server(
    config: Config,
    gate: Gate,
    handlers: tuple[grpc.GenericRpcHandler, ...],
    answers: health.HealthServicer,
    trust: TrustWatch,
    listen: str,
) -> tuple[grpc.aio.Server, int]:
    """Return a server with all services that has a port, and which that is; raises FailedPrecondition."""
    server = grpc.aio.server(interceptors=[gate], options=wire.options(config.wire))
    server.add_generic_rpc_handlers(handlers)
    health_pb2_grpc.add_HealthServicer_to_server(answers, server)
    reflection.enable_server_reflection(
        (*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME), server
    )
    credentials = current_credentials(lambda: trust.current, heap.connection_begins)
    return server, _bind(server, listen, credentials)


def _bind(server: grpc.aio.Server, listen: str, credentials: grpc.ServerCredentials) -> int:
    try:
        port = server.add_secure_port(listen, credentials)
    except RuntimeError:
        port = 0
    if port == 0:
        raise FailedPrecondition(
            f"can't listen on {listen}",
            obj=listen,
            hint="another program has the port, the address is not of this host, or the port is below 1024 and "
            "not for this user; give another with --listen",
        )
    return port


async def _drain(
    config: Config, listener: Listener, engine: Engine, answers: health.HealthServicer, accepting: asyncio.Event
) -> bool:
    """Let calls end; return whether all connections have ended too."""
    _LOG.info("shutting down; jobs run on")
    accepting.clear()
    _notify("STOPPING=1")
    await _report(answers, health_pb2.HealthCheckResponse.NOT_SERVING)
    engine.drain()
    return await listener.stop(config.drain_timeout)


def _leave_at_once() -> NoReturn:
    """End this process, of which everything is closed but a connection: gRPC's thread would be waited for."""
    _LOG.info("a client does not answer; its connection is left to the kernel")
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)


async def _report(answers: health.HealthServicer, status: int) -> None:
    for name in ("", *_SERVICES):
        await answers.set(name, status)


def _announce(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    print(f"jsched: serving on {shown}:{port}", file=sys.stderr, flush=True)
    _notify("READY=1")


def _stop_on_signals() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _resolve, stop)
    # Until there is something to read again.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    return stop


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _raise_open_file_limit() -> None:
    # A connection, a followed log and a running job cost a descriptor each.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _notify(state: str) -> None:
    """Tell systemd, if it has started us; sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        try:
            notify.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError as error:
            _LOG.warning("can't tell systemd %s: %s", state, error)


def run(config: Config, certs_dir: Path, watched: Handshakes | None = None) -> None:
    """Serve in an event loop of its own; raises JschedError if that can't be done."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if watched is None:
        _LOG.info("refused handshakes are not in the audit: there is no stderr, or GRPC_VERBOSITY or GRPC_TRACE is set")
    asyncio.run(serve(config, certs_dir, watched))
