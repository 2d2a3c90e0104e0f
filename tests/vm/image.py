"""The kernels, modules and busybox that guests are booted from, kept in a cache of the user's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

CACHE_VARIABLE = "JSCHED_VM_CACHE"
# A new number has everything fetched again: for when backends ask for other modules.
_LAYOUT = 1


class CannotHaveGuest(Exception):
    """This machine can't run the guest; the text says what is missing."""


class Image(NamedTuple):
    """The files of one back end, all in its directory of the cache."""

    kernel: Path
    busybox: Path
    modules: tuple[Path, ...]


def directory(backend: str) -> Path:
    """Return where the files of a back end are kept, there or not."""
    base = os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "jsched-vm"
    return Path(base).expanduser() / f"{backend}-{_LAYOUT}"


def cached(backend: str) -> Image | None:
    """Return what was fetched for a back end, or None."""
    where = directory(backend)
    if not where.is_dir():
        return None
    return Image(where / "kernel", where / "busybox", tuple(sorted((where / "modules").iterdir())))
