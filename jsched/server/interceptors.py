"""What stands between the wire and every handler, written once for all kinds of RPC.

From the outside in: audit, errors, the checks (`Gate.checks`: identity, policy, accepting),
then the request is taken in, room in the audit is held, the request is decoded, and the handler
runs. Whatever fails in one of them, the call is refused and its line in the audit says why. An open
stream costs two coroutines and some small objects more than without.

To gRPC every method is one with a stream of requests, which looks the same on the wire: of a method
with one request it would take that in before anybody is asked, and have room for it as long as its
client likes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc

from jsched.errors import (
    DataLoss,
    Internal,
    JschedError,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from jsched.policy.grant import Refused
from jsched.policy.verbs import Verb
from jsched.server import handlers, status, wire
from jsched.server.audit import Audit, Entry
from jsched.server.call import CallContext, begin_call
from jsched.server.callers import Callers
from jsched.server.identity import InvalidIdentity
from jsched.server.methods import JOB_SERVICE, METHODS, ROOTFS_SERVICE
from jsched.server.receiving import Receiving
from jsched.server.record import Record
from jsched.wire_config import WireConfig

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
    Check = Callable[["CallContext", Context], None]

_log = logging.getLogger("jsched.server")
_DEFAULT_LIMITS = WireConfig()


@dataclass(frozen=True, slots=True)
class _Guarded:
    """A method and what stands before it; `streams` says that it has many responses.

    `decode` is None where the requests are decoded as the handler reads them, or never read.
    """

    method: str
    streams: bool
    checks: tuple[Check, ...]
    act: handlers.Act
    decode: handlers.Decode | None = None


class Gate(grpc.aio.ServerInterceptor):
    """The server's only interceptor.

    `accepting` says whether new calls of jsched's services are served; health always answers.
    """

    def __init__(
        self, audit: Audit, callers: Callers, accepting: Callable[[], bool], limits: WireConfig = _DEFAULT_LIMITS
    ) -> None:
        self._audit = audit
        self._callers = callers
        self._accepting = accepting
        self._limits = limits
        self._receiving = Receiving(limits)
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}
        self.checks: tuple[Check, ...] = (
            callers.check_identity,
            callers.check_policy,
            self._check_accepting,
            callers.check_streams,
        )

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the method's handler behind everything that stands before it."""
        method = handler_call_details.method
        if (excess := wire.metadata_excess(handler_call_details.invocation_metadata, self._limits)) is not None:
            return self._refusing(method, functools.partial(_refuse, excess))
        handler = await continuation(handler_call_details)
        if handler is None:
            return self._refusing(method, check_exists)
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(method, handler))
        return known[1]

    def _refusing(self, method: str, check: Check) -> Handler:
        """Return a handler for a call that the check refuses, without waiting for a request."""
        checks = (self._callers.check_identity, check)
        serve = functools.partial(self._serve, _Guarded(method, False, checks, handlers.not_implemented))
        # A stream of streams fits any client, whatever kind of method it believes in.
        return grpc.stream_stream_rpc_method_handler(serve)

    def _wrap(self, method: str, handler: Handler) -> Handler:
        encode = handler.response_serializer
        # One request is decoded only after the checks, so strangers reach no parser. The requests
        # of a stream are decoded as the handler reads them, which is after the checks as well.
        decode = wire.limited(handlers.decoder(handler.request_deserializer), self._limits)
        streams = handler.response_streaming
        guarded = functools.partial(_Guarded, method, streams, self.checks)
        if handler.request_streaming:
            act = handlers.streaming(handler.stream_stream) if streams else handlers.unary(handler.stream_unary)
            serve, early = functools.partial(self._serve, guarded(act)), decode
        else:
            act = handlers.streaming(handler.unary_stream) if streams else handlers.unary(handler.unary_unary)
            serve, early = functools.partial(self._serve, guarded(act, decode)), None
        if streams:
            return grpc.stream_stream_rpc_method_handler(serve, early, encode)
        return grpc.stream_unary_rpc_method_handler(serve, early, encode)

    async def _serve(self, guarded: _Guarded, requests: Any, context: Context) -> Any:
        """Run one RPC from its arrival to its answer."""
        method = guarded.method
        entry = Entry(method, unquote(context.peer()), time.time(), verb=_verb(method))
        record = Record(self._audit, entry, guarded.streams)
        started = time.perf_counter()
        call = begin_call(entry)
        refusal: JschedError | None = None
        response = None
        try:
            response = await self._act(call, record, guarded, requests, context)
            entry.status = _name(context.code())
        except JschedError as error:
            if isinstance(error, Refused):
                entry.decision, entry.rule = "deny", error.rule
            if isinstance(error, Internal | DataLoss) and entry.decision == "allow":
                # What somebody has done to a log is for the administrator to know, and no defect to be traced.
                _log.error("%s failed: %s", method, error, exc_info=error if isinstance(error, Internal) else None)
            refusal = error.with_traceback(None)
        except (Exception, asyncio.CancelledError) as error:
            if _is_over(error):
                # Nobody is left to answer, or the handler has answered by itself.
                aborted = isinstance(error, grpc.aio.AbortError)
                entry.status = _name(context.code()) if aborted else "CANCELLED"
                await _write_late(record, entry, started)
                if aborted or isinstance(error, asyncio.CancelledError):
                    raise
                # A write to a client that has just gone fails before grpc knows why, and it would log a defect.
                raise asyncio.CancelledError from None
            refusal = status.incident(error, method)
        if refusal is not None:
            entry.status = status.code_of(refusal).name
            entry.reason = refusal.reason if isinstance(refusal, InvalidIdentity) else refusal.message
            entry.serial = entry.serial or getattr(refusal, "serial", "")
        entry.duration_ms = (time.perf_counter() - started) * 1000
        try:
            await record.write()
        except (Internal, ResourceExhausted) as error:
            refusal = error.with_traceback(None)
        if refusal is not None:
            await status.abort(context, refusal)
        return response

    async def _act(self, call: CallContext, record: Record, guarded: _Guarded, requests: Any, context: Context) -> Any:
        """Run the checks and the handler of a call that may be ended meanwhile; raises what it was ended with."""
        try:
            for check in guarded.checks:
                check(call, context)
            if guarded.decode is not None:
                content = await self._receiving.one(call.caller, context)
                await record.hold()
                return await guarded.act(guarded.decode(content), record.watch(context))
            await record.hold()
            if METHODS.get(call.entry.method) is Verb.ROOTFS_UPLOAD:
                requests = self._receiving.all(f"uploads of {call.caller}", context)
            return await guarded.act(requests, record.watch(context))
        finally:
            self._callers.calls.leave(call)

    def _check_accepting(self, call: CallContext, _: Context) -> None:
        """Refuse new calls of jsched's own services while the server comes up or goes down."""
        if call.entry.method.startswith((JOB_SERVICE, ROOTFS_SERVICE)) and not self._accepting():
            raise Unavailable("the server is starting up or shutting down", hint="try again in a moment")


async def _write_late(record: Record, entry: Entry, started: float) -> None:
    """Write the line of a call that can't be answered any more, so that a failure can only be logged."""
    entry.duration_ms = (time.perf_counter() - started) * 1000
    with contextlib.suppress(Internal, ResourceExhausted):
        await record.write()


def _refuse(error: JschedError, _: CallContext, __: Context) -> None:
    raise error


def check_exists(call: CallContext, _: Context) -> None:
    """Refuse a method that the server does not have."""
    call.entry.rule = "no such method"
    raise Unimplemented("no such method", obj=call.entry.method)


def _verb(method: str) -> str:
    """Return what the policy calls a method, or its bare name if no policy knows it."""
    verb = METHODS.get(method)
    return method.rpartition("/")[2] if verb is None else verb.value


def _name(code: Any) -> str:
    """Return a status code's name, from what a context's code() gives: nothing as long as all is well."""
    return code.name if isinstance(code, grpc.StatusCode) else "OK"


def _is_over(error: BaseException) -> bool:
    """Return whether the call has ended already: grpc says so, or has cancelled the task."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        # A cancellation that nobody asked this task for is a defect of the handler, and without
        # an answer its caller would wait for ever.
        return task is not None and task.cancelling() > 0
    return isinstance(error, grpc.aio.BaseError)
