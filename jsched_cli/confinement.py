"""The flags that say how a job is walled in, and how its walls are shown."""

from __future__ import annotations

import argparse
from typing import Any

from jsched.commandline import Parser, UsageError
from jsched.confinement import Bind, Confinement, Mode, Network, Walls
from jsched.job import Job

_ACCESS = {"ro": False, "rw": True}


def add_confinement(parser: Parser) -> None:
    """Add the flags of a job's walls; what is not given is the server's to say."""
    parser.add_argument(
        "--isolation",
        choices=[mode.value for mode in Mode],
        help="what it sees of the host: host is a read-only view of its files, rootfs an uploaded root file system",
    )
    parser.add_argument("--rootfs", metavar="NAME", help="run it in this uploaded root file system")
    parser.add_argument(
        "--network", choices=[network.value for network in Network], help="none is a loopback interface alone"
    )
    parser.add_argument(
        "--bind",
        action="append",
        metavar="SRC:DST[:ro|rw]",
        help="a directory of the host that it sees, read-only if not told otherwise; the server has to allow it",
    )
    parser.add_argument("--user", metavar="USER", help="whom it runs as behind its walls: root, or a number")
    parser.add_argument("--group", metavar="GROUP", help="its group; the number of the user")


def confinement(args: argparse.Namespace) -> Confinement:
    """Return what the arguments ask of a job's walls; raises InvalidArgument or UsageError for what can't be."""
    return Confinement(
        mode=Mode(args.isolation) if args.isolation else None,
        network=Network(args.network) if args.network else None,
        rootfs=args.rootfs,
        binds=tuple(_bind(text) for text in args.bind or ()),
        user=args.user,
        group=args.group,
    )


def walls_row(job: Job) -> tuple[str, str]:
    """Return a job's walls in a few words, for its details."""
    walls = job.walls
    if walls is None:
        return "isolation", ""
    if walls.mode is Mode.NONE:
        return "isolation", "none: all that the server's user may do"
    tree = f" {job.spec.confinement.rootfs} ({walls.rootfs[:12]})" if walls.rootfs else ""
    return "isolation", f"{walls.mode.value}{tree}, network {walls.network.value}, {len(walls.steps)} walls"


def walls_json(walls: Walls | None) -> dict[str, Any] | None:
    """Return a job's walls as JSON has them."""
    if walls is None:
        return None
    return {
        "isolation": walls.mode.value,
        "network": walls.network.value,
        "rootfs": walls.rootfs or None,
        "walls": list(walls.steps),
    }


def _bind(text: str) -> Bind:
    source, colon, rest = text.partition(":")
    target, second, access = rest.partition(":")
    if not colon or not source or not target or (second and access not in _ACCESS):
        raise UsageError(f"--bind: {text!r} is not SRC:DST, SRC:DST:ro or SRC:DST:rw")
    return Bind(source, target, _ACCESS.get(access, False))
