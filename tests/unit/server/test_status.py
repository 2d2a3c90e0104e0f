from __future__ import annotations

import grpc
import pytest

from jsched import errors
from jsched.server.identity import InvalidIdentity
from jsched.server.status import code_of

OWN_CODES = {
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "OutOfRange": grpc.StatusCode.OUT_OF_RANGE,
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "AlreadyExists": grpc.StatusCode.ALREADY_EXISTS,
    "FailedPrecondition": grpc.StatusCode.FAILED_PRECONDITION,
    "Unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "PermissionDenied": grpc.StatusCode.PERMISSION_DENIED,
    "ResourceExhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
    "Unimplemented": grpc.StatusCode.UNIMPLEMENTED,
    "DataLoss": grpc.StatusCode.DATA_LOSS,
    "Internal": grpc.StatusCode.INTERNAL,
}


def test_every_class_of_the_tree_has_a_code_of_its_own() -> None:
    """Each class directly below JschedError has one code, and no two have the same."""
    below = {kind.__name__: kind for kind in errors.JschedError.__subclasses__() if kind.__module__ == errors.__name__}
    assert {name: code_of(kind("message")) for name, kind in below.items()} == OWN_CODES
    assert len(set(OWN_CODES.values())) == len(OWN_CODES)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.StartFailed("exec", step="exec", errno=2), grpc.StatusCode.INVALID_ARGUMENT),
        (InvalidIdentity("reason"), grpc.StatusCode.UNAUTHENTICATED),
        (errors.JschedError("plain"), grpc.StatusCode.INTERNAL),
    ],
)
def test_a_class_below_has_the_code_of_the_nearest_above(error: errors.JschedError, code: grpc.StatusCode) -> None:
    """An error class that is not in the table answers like the one it is a kind of."""
    assert code_of(error) is code
