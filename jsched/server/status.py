"""Errors as gRPC answers: the only place that knows status codes.

An answer carries google.rpc.Status with an ErrorInfo: domain "jsched", the error's kind in
upper case as reason, and as metadata what the error knows: object, hint, step, errno, job_id.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from jsched import errors
from jsched.errors import JschedError

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]

DOMAIN = "jsched"

_CODES: Mapping[type[JschedError], grpc.StatusCode] = MappingProxyType(
    {
        errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
        errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
        errors.NotFound: grpc.StatusCode.NOT_FOUND,
        errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
        errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
        errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
        errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
        errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
        errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
        errors.DataLoss: grpc.StatusCode.DATA_LOSS,
        errors.Internal: grpc.StatusCode.INTERNAL,
    }
)

# All trailing metadata together must stay under the 8 KiB that clients accept; a message
# stands in it twice, once with up to three bytes for one.
_MAX_MESSAGE = 1024
_MAX_FIELD = 256

_log = logging.getLogger("jsched.server")


class Incident(errors.Internal):
    """A defect that a client learns nothing of but a number; the log has the rest."""

    def __init__(self) -> None:
        self.number = secrets.token_hex(6)
        super().__init__(
            f"internal error, incident {self.number}", hint="the server's log says more under this incident"
        )


def incident(error: BaseException, what: str) -> Incident:
    """Log an unexpected exception with its traceback, and return the error that a client may see."""
    found = Incident()
    _log.error("incident %s in %s", found.number, what, exc_info=error)
    return found


def code_of(error: JschedError) -> grpc.StatusCode:
    """Return the status code of an error: that of its class, or of the nearest class above."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return grpc.StatusCode.INTERNAL


async def abort(context: Context, error: JschedError) -> NoReturn:
    """Answer a call with an error; raises grpc's AbortError."""
    from google.protobuf.any_pb2 import Any as Packed
    from google.rpc import error_details_pb2, status_pb2
    from grpc_status import rpc_status

    info = error_details_pb2.ErrorInfo(reason=error.kind.upper(), domain=DOMAIN, metadata=_metadata(error))
    packed = Packed()
    packed.Pack(info)
    status = status_pb2.Status(
        code=code_of(error).value[0], message=_fit(error.message, _MAX_MESSAGE), details=[packed]
    )
    await context.abort_with_status(rpc_status.to_status(status))


def _metadata(error: JschedError) -> dict[str, str]:
    fields = {
        "object": error.obj,
        "hint": error.hint,
        "step": getattr(error, "step", ""),
        "errno": str(getattr(error, "errno", "")),
        "job_id": getattr(error, "job_id", ""),
        "incident": getattr(error, "number", ""),
    }
    return {name: _fit(value, _MAX_FIELD) for name, value in fields.items() if value}


def _fit(text: str, size: int) -> str:
    """Return `text` as valid Unicode of at most `size` bytes of UTF-8: messages quote what clients send."""
    content = text.encode("utf-8", "backslashreplace")
    if len(content) <= size:
        return content.decode()
    return content[: size - 3].decode("utf-8", "ignore") + "..."
