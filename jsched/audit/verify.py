"""Whether a trail is as it was written: what is to be said of its files; see walk."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from jsched.audit.chain import Link
from jsched.audit.trail import Trail
from jsched.audit.walk import Place, Report, Walk

# Source: RFC 1952, 2.3.1
_GZIP = b"\x1f\x8b"


def verify(files: Sequence[Path], anchors: Iterable[Link] = (), expected: Iterable[Link] = ()) -> Report:
    """Return what is to be said of a trail's files, given oldest first; raises OSError if one can't be read.

    Files that were put away with gzip are read as they are.
    """
    with contextlib.ExitStack() as stack:
        return _walk([stack.enter_context(_open(path)) for path in files], anchors, expected)


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


def _open(path: Path) -> BinaryIO:
    """Open a file of a trail, also one that somebody has put away with gzip; raises OSError."""
    file = path.open("rb")
    # Nothing else than a regular file is looked into: what a pipe has given is gone.
    if not path.is_file() or file.peek(2)[:2] != _GZIP:
        return file
    file.close()
    return cast("BinaryIO", gzip.open(path))


def _walk(files: Iterable[BinaryIO], anchors: Iterable[Link], expected: Iterable[Link]) -> Report:
    walk = Walk(anchors, expected)
    for file in files:
        walk.begin_file()
        try:
            for number, text in enumerate(file, 1):
                walk.take(Place(os.path.basename(file.name), number), text)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise OSError(errno.EIO, "it is compressed, and damaged or cut off", file.name) from None
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
