"""Tries to get out of the sandbox that it runs in, in every way that is known to us.

An attempt that succeeds does no harm: what it opens for writing it does not write, what it
changes it changes in a child, in a directory of its own, or back. Standard output is taken for
the job's log.
"""

from __future__ import annotations

import json

from tests.helpers import inline
from tests.helpers.escapes.attempt import NOTHING, SUCCEEDED, Host

_PACKAGE = "tests.helpers.escapes"
_SUBJECTS = ("files", "log", "processes", "namespaces", "network", "kernel")


def command(host: Host = NOTHING, python: str = "python3") -> list[str]:
    """Return a command that makes all attempts; those on things that `host` does not name are left out."""
    modules = [f"{_PACKAGE}.{name}" for name in ("attempt", *_SUBJECTS, "__main__")]
    return inline.command(modules, json.dumps(host), python=python)


def outcomes(printed: str) -> dict[str, str]:
    """Return the outcome of each attempt by its name."""
    lines = (json.loads(line) for line in printed.splitlines())
    return {line["attempt"]: line["outcome"] for line in lines}


def holes(printed: str) -> list[str]:
    """Return the names of the attempts that succeeded."""
    return [name for name, outcome in outcomes(printed).items() if outcome == SUCCEEDED]
