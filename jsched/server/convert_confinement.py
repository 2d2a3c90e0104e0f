"""How jobs are walled in: the API's messages to the domain's values and back."""

from __future__ import annotations

from jsched.confinement import NOTHING_ASKED, Bind, Confinement, Mode, Network, Walls
from jsched.errors import InvalidArgument
from jsched.v1 import jobs_pb2 as pb

_MODES = {
    pb.ISOLATION_MODE_UNSPECIFIED: None,
    pb.ISOLATION_MODE_NONE: Mode.NONE,
    pb.ISOLATION_MODE_HOST: Mode.HOST,
    pb.ISOLATION_MODE_ROOTFS: Mode.ROOTFS,
}
_NETWORKS = {
    pb.NETWORK_MODE_UNSPECIFIED: None,
    pb.NETWORK_MODE_NONE: Network.NONE,
    pb.NETWORK_MODE_HOST: Network.HOST,
}
_MODES_BACK = {mode: number for number, mode in _MODES.items()}
_NETWORKS_BACK = {network: number for number, network in _NETWORKS.items()}


def to_confinement(message: pb.Confinement) -> Confinement:
    """Return what is asked of a job's walls; raises InvalidArgument naming the field."""
    if not message.ByteSize():
        return NOTHING_ASKED
    for name, number, known in (("isolation", message.isolation, _MODES), ("network", message.network, _NETWORKS)):
        if number not in known:
            raise InvalidArgument(f"{number} is not a mode of {name}", obj=name)
    return Confinement(
        mode=_MODES[message.isolation],
        network=_NETWORKS[message.network],
        rootfs=message.rootfs or None,
        binds=tuple(Bind(one.source, one.target, one.writable) for one in message.binds),
        user=message.user or None,
        group=message.group or None,
    )


def from_confinement(asked: Confinement) -> pb.Confinement | None:
    """Return what was asked as the API shows it, None for nothing."""
    if asked == NOTHING_ASKED:
        return None
    return pb.Confinement(
        isolation=_MODES_BACK[asked.mode],
        network=_NETWORKS_BACK[asked.network],
        rootfs=asked.rootfs or "",
        binds=[pb.Bind(source=one.source, target=one.target, writable=one.writable) for one in asked.binds],
        user=asked.user or "",
        group=asked.group or "",
    )


def from_walls(walls: Walls) -> pb.Walls:
    """Return what a job is walled in with as the API shows it."""
    return pb.Walls(
        isolation=_MODES_BACK[walls.mode],
        network=_NETWORKS_BACK[walls.network],
        rootfs=walls.rootfs,
        steps=walls.steps,
    )
