"""Stop the development server of this directory; its jobs run on."""

from __future__ import annotations

import argparse

from jsched.commands.dev import jobs, server
from jsched.commands.dev.places import Places, here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: there is one server to a directory."""


def run(args: argparse.Namespace) -> int:
    """Stop the server, if one runs, and say which jobs run on."""
    places = here()
    if not places.data.exists():
        print("no server runs here")
        return 0
    with places.locked():
        stop(places)
    if left := len(jobs.running(places)):
        print(f"{jobs.count(left)} run{'s' if left == 1 else ''} on: make run finds them again, make clean ends them")
    return 0


def stop(places: Places) -> None:
    """Stop the server of a directory and say so; the caller holds the lock."""
    running = server.find(places)
    if running is None:
        print("no server runs here")
    else:
        server.stop(running)
        print(f"stopped the server (process {running.pid})")
    server.forget(places)
