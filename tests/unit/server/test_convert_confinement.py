"""A job's walls in the API's messages, as the server reads and writes them."""

from __future__ import annotations

import pytest

from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network, Walls
from jsched.errors import InvalidArgument
from jsched.server.convert_confinement import from_confinement, from_walls, to_confinement
from jsched.v1 import jobs_pb2 as pb


def test_nothing_asked_is_no_message() -> None:
    """A job that asks for nothing has no message, and an empty one asks for nothing."""
    assert from_confinement(NOTHING_ASKED) is None
    assert to_confinement(pb.Confinement()) == NOTHING_ASKED


def test_every_field() -> None:
    """Each field of a message is a field of the value, and the other way round."""
    message = pb.Confinement(
        isolation=pb.ISOLATION_MODE_ROOTFS,
        network=pb.NETWORK_MODE_HOST,
        rootfs="alpine",
        binds=[pb.Bind(source="/a", target="/b", writable=True), pb.Bind(source="/c", target="/d")],
        user="root",
        group="5",
    )
    asked = Confinement(
        mode=Mode.ROOTFS,
        network=Network.HOST,
        rootfs="alpine",
        binds=(Bind("/a", "/b", writable=True), Bind("/c", "/d")),
        user="root",
        group="5",
    )
    assert to_confinement(message) == asked
    assert from_confinement(asked) == message


def test_every_mode_has_a_number() -> None:
    """No mode and no network is missing in the API, and each has a number of its own."""
    walls = [from_walls(Walls(mode, network)) for mode in Mode for network in Network]
    assert {one.isolation for one in walls} == set(pb.IsolationMode.values()) - {0}
    assert {one.network for one in walls} == set(pb.NetworkMode.values()) - {0}


def test_walls() -> None:
    """A job's walls are told one by one, in the order in which they are built."""
    message = from_walls(Walls(Mode.HOST, Network.NONE, "0f", ("clone", "proc")))
    assert (message.rootfs, list(message.steps)) == ("0f", ["clone", "proc"])


@pytest.mark.parametrize(
    ("message", "obj", "text"),
    [
        (pb.Confinement(isolation=99), "isolation", "99 is not a mode of isolation"),  # type: ignore[arg-type]
        (pb.Confinement(network=-1), "network", "-1 is not a mode of network"),  # type: ignore[arg-type]
        (pb.Confinement(isolation=pb.ISOLATION_MODE_ROOTFS), "rootfs", "needs the name of a root file system"),
        (pb.Confinement(rootfs="../x"), "rootfs", "is not a name of a root file system"),
        (pb.Confinement(binds=[pb.Bind(source="/a")]), "binds", "bind target '' is not an absolute path"),
        (pb.Confinement(binds=[pb.Bind(source="a", target="/b")]), "binds", "bind source 'a' is not an absolute path"),
        (pb.Confinement(user="a b"), "user", "user 'a b' is not a name or number"),
    ],
)
def test_what_can_not_be_asked(message: pb.Confinement, obj: str, text: str) -> None:
    """A message that makes no sense is refused with the name of the field."""
    with pytest.raises(InvalidArgument) as caught:
        to_confinement(message)
    assert caught.value.obj == obj
    assert text in caught.value.message
