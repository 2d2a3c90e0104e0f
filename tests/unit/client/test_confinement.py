"""A job's walls between client and server, with nothing lost or made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jsched.client import decode, requests
from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network, Walls
from jsched.errors import Internal
from jsched.job import JobSpec
from jsched.server import convert
from jsched.v1 import jobs_pb2 as pb
from tests.unit.client.conftest import job_message

ASKED = [
    *(Confinement(mode=mode) for mode in (Mode.NONE, Mode.HOST)),
    *(Confinement(network=network) for network in Network),
    Confinement(rootfs="alpine"),
    Confinement(mode=Mode.ROOTFS, rootfs="alpine"),
    Confinement(binds=(Bind("/a", "/b", writable=True), Bind("/ü", "/c"))),
    Confinement(user="root", group="5"),
]


@pytest.mark.parametrize("asked", [NOTHING_ASKED, *ASKED])
def test_what_is_asked_survives_the_wire(asked: Confinement) -> None:
    """What the client asks for is what the server reads, and what a job's status says was asked."""
    spec = JobSpec(["x"], confinement=asked)
    request = pb.StartJobRequest.FromString(requests.start(spec, "once").SerializeToString())
    assert convert.to_spec(request) == spec
    job = replace(decode.job(job_message()), spec=replace(spec, argv=["true"]))
    assert decode.job(pb.Job.FromString(convert.from_job(job).SerializeToString())) == job


def test_nothing_asked_is_not_sent() -> None:
    """What is the server's to say is not in the request."""
    assert not requests.start(JobSpec(["x"]), "once").HasField("confinement")


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("network", Network)
def test_walls_survive_the_wire(mode: Mode, network: Network) -> None:
    """A job's status says which walls it has, whichever they are."""
    job = replace(decode.job(job_message()), walls=Walls(mode, network, "0f" * 32, ("clone", "pivot")))
    assert decode.job(pb.Job.FromString(convert.from_job(job).SerializeToString())) == job


def test_walls_that_are_not_told() -> None:
    """A job that was never started has no walls, and none are made up."""
    assert decode.job(job_message()).walls is None


@pytest.mark.parametrize(
    "message",
    [
        job_message(walls=pb.Walls()),
        job_message(walls=pb.Walls(isolation=pb.ISOLATION_MODE_HOST)),
        job_message(walls=pb.Walls(isolation=99, network=pb.NETWORK_MODE_NONE)),  # type: ignore[arg-type]
        job_message(confinement=pb.Confinement(isolation=99)),  # type: ignore[arg-type]
        job_message(confinement=pb.Confinement(network=99)),  # type: ignore[arg-type]
        job_message(confinement=pb.Confinement(binds=[pb.Bind()])),
    ],
)
def test_walls_that_this_client_does_not_know(message: pb.Job) -> None:
    """A mode of a later version is not taken for none, or for nothing."""
    with pytest.raises(Internal, match="not a job that this client understands"):
        decode.job(message)
