"""A client that knows nothing of jsched but its address: what it sends, it has learnt by reflection.

A program of its own: ADDRESS CA CERT KEY ARGV..., runs the command, writes its output to stdout, and ends
with its exit code. It imports neither jsched nor any generated code of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

TIMEOUT = 30


def main(address: str, ca: str, cert: str, key: str, *argv: str) -> int:
    """Run a command on the server and return its exit code."""
    credentials = grpc.ssl_channel_credentials(*(Path(path).read_bytes() for path in (ca, key, cert)))
    with grpc.secure_channel(address, credentials) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        (name,) = (name for name in database.get_services() if name.endswith(".JobService"))
        service = DescriptorPool(database).FindServiceByName(name)

        def call(method: str, **fields: Any) -> Any:
            found = service.FindMethodByName(method)
            request = GetMessageClass(found.input_type)
            response = GetMessageClass(found.output_type)
            kind = channel.unary_stream if found.server_streaming else channel.unary_unary
            stub: Any = kind(
                f"/{service.full_name}/{method}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            return stub(request(**fields), timeout=TIMEOUT)

        job_id = call("StartJob", argv=argv).job_id
        for message in call("StreamOutput", job_id=job_id, follow=True):
            sys.stdout.buffer.write(message.data)
            ended = message.ended
        state = ended.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number[ended.state].name
        print(f"{name} {state}", file=sys.stderr)
        code: int = getattr(ended, ended.WhichOneof("outcome"))
    assert not [module for module in sys.modules if module.startswith("jsched")]
    return code


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
