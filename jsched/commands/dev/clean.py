"""Stop the development server and its jobs, and remove what was made in this checkout.

Removes .venv, .jsched, the jobs' logs, the development certificates, and what was built or
cached; nothing that is tracked, and nothing whose name jsched does not know.
"""

from __future__ import annotations

import argparse
import configparser
import os
from collections.abc import Iterator
from pathlib import Path

from jsched.commands.dev import down, jobs
from jsched.commands.dev.places import Places, here
from jsched.datadir import remove_log, remove_tree
from jsched.errors import FailedPrecondition
from jsched.isolation.discovery import look
from jsched.isolation.hierarchy import Hierarchy, group_name

_WHOLE = (
    ".jsched",
    "build",
    "jsched.egg-info",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".import_linter_cache",
    # Last: this may be running from it.
    ".venv",
)
_CERTIFICATES = ("*.crt", "*.key", "*.crl", "*.toml", "issued", "clients", "servers", ".making-*")
_CODE = ("jsched", "jsched_cli", "tests", "bench")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: it is this directory that is cleaned."""


def run(args: argparse.Namespace) -> int:
    """Stop what runs, remove what was made, and say what that was."""
    places = here()
    _check_checkout(places.root)
    if places.data.exists():
        with places.locked():
            down.stop(places)
            if running := jobs.running(places):
                jobs.end(places, running)
                print(f"ended {jobs.count(len(running))}")
            _remove_cgroups(places)
    removed = _remove(places)
    print(f"removed {', '.join(removed)}" if removed else "nothing to remove")
    return 0


def _remove_cgroups(places: Places) -> None:
    """Remove the group of the jobs' cgroups; a server that ends removes it itself, unless jobs run on."""
    group = look(group_name(places.data))
    if isinstance(group, Hierarchy):
        # Of a job whose monitor was killed.
        group.sweep(())
        group.remove()


def _check_checkout(root: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg", "utf-8")
    if setup.get("metadata", "name", fallback=None) != "jsched" or not (root / "Makefile").exists():
        raise FailedPrecondition(
            f"{root} is not a checkout of jsched", obj=str(root), hint="change to the directory of the Makefile"
        )


def _remove(places: Places) -> list[str]:
    removed = []
    for name, paths in (
        ("certificates in certs", [path for pattern in _CERTIFICATES for path in places.certs.glob(pattern)]),
        ("logs in logs", list(places.logs.glob("*.log"))),
        ("compiled modules", list(_compiled(places.root))),
        *((name, [places.root / name]) for name in _WHOLE),
    ):
        try:
            there = [path for path in paths if _remove_one(path)]
        except OSError as error:
            raise FailedPrecondition(
                f"{error.filename or name} can't be removed: {(error.strerror or '').lower()}", obj=name
            ) from None
        if there:
            removed.append(f"{len(there)} {name}" if len(paths) > 1 else name)
    return removed


def _remove_one(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    elif path.is_symlink() or path.exists():
        # Among them are logs, and one of a job whose monitor was killed is append-only.
        remove_log(path)
    else:
        return False
    return True


def _compiled(root: Path) -> Iterator[Path]:
    for code in _CODE:
        for directory, names, _ in os.walk(root / code):
            if "__pycache__" in names:
                names.remove("__pycache__")
                yield Path(directory, "__pycache__")
