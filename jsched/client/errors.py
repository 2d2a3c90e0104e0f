"""The one place where a failed call becomes one of jsched's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from jsched import errors
from jsched.client.diagnosis import diagnose
from jsched.client.settings import ClientConfig
from jsched.errors import Internal, JschedError, StartFailed, Unauthenticated, Unavailable

DOMAIN = "jsched"

_BY_REASON: Mapping[str, type[JschedError]] = {
    cls.kind.upper(): cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, JschedError) and cls not in (JschedError, StartFailed)
}

# For answers that do not come from jsched's own code: a limit of the transport, a proxy, an older server.
_BY_CODE: Mapping[grpc.StatusCode, type[JschedError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: errors.OutOfRange,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
}

# What is far too large is refused by gRPC before jsched sees it, without the limit's name.
_LIMITS_OF_THE_TRANSPORT = {
    "SERVER: Received message larger than max": "max_message_size",
    "Decompressed message larger than max": "max_message_size",
    "metadata size exceeds": "max_metadata_size",
}

# A server that dies in the middle of a call is not always UNAVAILABLE to gRPC.
_CUT = {
    grpc.StatusCode.CANCELLED: "",
    grpc.StatusCode.UNKNOWN: "stream removed",
    grpc.StatusCode.INTERNAL: "rst_stream",
}

# gRPC's words for a call that never had a connection; whatever else it says of one, there was a connection.
_NEVER_CONNECTED = (
    "failed to connect",
    "connection attempt timed out",
    "errors resolving",
    "address lookup failed",
    "dns resolution failed",
    "empty address list",
)


def translate(error: Any, config: ClientConfig) -> JschedError:
    """Return the error that a failed call (sync or aio) stands for.

    The server's own errors come back as the class they were raised as. Where there is no
    answer, a second look at the connection may take some seconds (see diagnosis).
    """
    code, details = error.code(), error.details() or ""
    if (info := _error_info(error)) is not None:
        return _rebuild(*info, details, config)
    if code is grpc.StatusCode.UNAVAILABLE or (code in _CUT and _CUT[code] in details.lower()):
        said = details.lower()
        return diagnose(config, details, was_connected=not any(words in said for words in _NEVER_CONNECTED))
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Internal(
            f"what answers at {config.server} is no jsched of this version",
            obj=config.server,
            hint="check --server, and the versions of both sides",
        )
    for words, limit in _LIMITS_OF_THE_TRANSPORT.items():
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and words in details:
            return errors.ResourceExhausted(f"the server's limit {limit} is exceeded: {details}", obj=limit)
    cls = _BY_CODE.get(code, Internal)
    return cls(details or f"the server answered {code.name}", hint=_identity_hint(cls, config))


def _error_info(error: Any) -> tuple[str, Mapping[str, str]] | None:
    """Return the reason and metadata of jsched's google.rpc.ErrorInfo, if there is one."""
    if not any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ()):
        return None
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return None
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == DOMAIN:
            return info.reason, dict(info.metadata)
    return None


def _rebuild(reason: str, metadata: Mapping[str, str], message: str, config: ClientConfig) -> JschedError:
    obj, hint = metadata.get("object", ""), metadata.get("hint", "")
    if reason == StartFailed.kind.upper():
        number = metadata.get("errno", "")
        return StartFailed(
            message,
            step=metadata.get("step", ""),
            errno=int(number) if number.isdigit() else 0,
            job_id=metadata.get("job_id", ""),
            obj=obj,
            hint=hint,
        )
    cls = _BY_REASON.get(reason, Internal)
    if cls is Unauthenticated:
        from jsched.client.identity import identity_refused

        return identity_refused(config, message)
    return cls(message, obj=obj, hint=hint or _identity_hint(cls, config))


def _identity_hint(cls: type[JschedError], config: ClientConfig) -> str:
    if issubclass(cls, Unauthenticated):
        return f"the identity comes from {config.cert}; ask the server's administrator for a certificate with a role"
    if issubclass(cls, errors.PermissionDenied):
        return f"your role comes from {config.cert}; someone with another role has to do this"
    return "try again" if issubclass(cls, Unavailable) else ""
