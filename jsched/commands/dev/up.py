"""Start a server for development in this directory, unless one runs.

State is kept in .jsched, logs in logs, certificates are taken from certs.
"""

from __future__ import annotations

import argparse

from jsched.commands.dev import jobs, server
from jsched.commands.dev.places import here
from jsched.errors import FailedPrecondition

DEFAULT_LISTEN = "127.0.0.1:50051"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to listen."""
    parser.add_argument("--listen", metavar="HOST:PORT", help=f"where to serve ({DEFAULT_LISTEN})")


def run(args: argparse.Namespace) -> int:
    """Start the server, or say that it runs."""
    places = here()
    with places.locked():
        if running := server.find(places):
            if args.listen not in (None, running.address):
                raise FailedPrecondition(
                    f"the server of this directory runs already, on {running.address} and not on {args.listen}",
                    obj=running.address,
                    hint="make stop stops it",
                )
            print(f"using the server that runs: process {running.pid} on {running.address}")
            return 0
        left = len(jobs.running(places))
        started = server.start(places, args.listen or DEFAULT_LISTEN)
    print(f"started a server: process {started.pid} on {started.address}, it prints to {places.show(places.output)}")
    if left:
        print(f"{jobs.count(left)} ran on while no server was there")
    return 0
