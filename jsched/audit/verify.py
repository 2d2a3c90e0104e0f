"""Whether a trail is as it was written: what is to be said of its files; see walk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from jsched.audit.chain import Link
from jsched.audit.trail import Trail
from jsched.audit.walk import Place, Report, Walk


def verify(files: Sequence[Path], anchors: Iterable[Link] = (), expected: Iterable[Link] = ()) -> Report:
    """Return what is to be said of a trail's files, given oldest first; raises OSError if one can't be read."""
    with contextlib.ExitStack() as stack:
        return _walk([stack.enter_context(path.open("rb")) for path in files], anchors, expected)


def verify_trail(trail: Trail, anchors: Iterable[Link] = (), expected: Iterable[Link] = ()) -> Report:
    """Return what is to be said of all files of a trail, which may be growing; raises OSError."""
    while True:
        files = trail.files()
        with contextlib.ExitStack() as stack:
            try:
                opened = [stack.enter_context(path.open("rb")) for path in files]
            except FileNotFoundError:
                continue
            # None was put aside meanwhile: then a name would not be of the file that was meant.
            if trail.files() == files:
                return _walk(opened, anchors, expected)


def _walk(files: Iterable[BinaryIO], anchors: Iterable[Link], expected: Iterable[Link]) -> Report:
    walk = Walk(anchors, expected)
    for file in files:
        walk.begin_file()
        for number, text in enumerate(file, 1):
            walk.take(Place(os.path.basename(file.name), number), text)
    return walk.end(whole=True)


def verify_tail(path: Path, length: int, anchors: Iterable[Link] = ()) -> Report:
    """Return what is to be said of the last `length` bytes of a file; raises OSError if it can't be read."""
    walk = Walk(anchors)
    with path.open("rb") as file:
        if file.seek(0, 2) > length:
            file.seek(-length, 2)
            file.readline()
        else:
            file.seek(0)
        for number, text in enumerate(file, 1):
            walk.take(Place(f"the end of {path.name},", number), text)
    return walk.end(whole=False)
