"""What is encoded by hand is what protobuf would encode."""

from __future__ import annotations

import pytest

from jsched.server import convert
from jsched.v1 import jobs_pb2 as pb


@pytest.mark.parametrize("offset", [0, 1, 127, 128, 16383, 16384, 2**31, 2**32 + 5, 2**63 - 1])
@pytest.mark.parametrize("size", [1, 127, 128, 16384, 512 * 1024])
def test_output_is_encoded_as_protobuf_does_it(offset: int, size: int) -> None:
    """A piece of output at any offset and of any size becomes the very bytes that protobuf makes of it."""
    data = bytes(number % 251 for number in range(size))
    message = pb.StreamOutputResponse(offset=offset, data=data)
    assert convert.output_head(offset, size) + data == message.SerializeToString(deterministic=True)
