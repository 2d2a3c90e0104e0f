"""The files of an audit trail: the one that is written, those put aside before it, and where it ends.

`audit.jsonl` is written; `audit-000000004711.jsonl` was, and begins with line 4711; `audit.anchor`
has the link that the trail had when it was last synced.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from jsched.audit import chain
from jsched.audit.chain import ORIGIN, Line, Link, Skipped

_BLOCK = 1 << 16
_DIGITS = 12


class Trail:
    """An audit trail by the path of the file that is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.anchor_path = path.with_suffix(".anchor")
        self._aside = re.compile(re.escape(path.stem) + rf"-(\d{{{_DIGITS},20}})" + re.escape(path.suffix), re.ASCII)

    def aside(self, first: int) -> Path:
        """Return the path that a file has once it is put aside, by the number of its first line."""
        return self.path.with_name(f"{self.path.stem}-{first:0{_DIGITS}}{self.path.suffix}")

    def put_aside(self) -> list[Path]:
        """Return the files that were put aside, oldest first; raises OSError if the directory can't be read."""
        matches = map(self._aside.fullmatch, os.listdir(self.path.parent))
        found = sorted((int(match[1]), match[0]) for match in matches if match)
        return [self.path.with_name(name) for _, name in found]

    def files(self) -> list[Path]:
        """Return all files that are there, oldest first; raises OSError if the directory can't be read."""
        return [*self.put_aside(), *([self.path] if self.path.exists() else [])]

    def anchor(self) -> Link | None:
        """Return the link that is written down beside the trail, None if there is none that can be read."""
        try:
            return chain.parse_anchor(self.anchor_path.read_text("ascii").strip())
        except (OSError, UnicodeDecodeError):
            return None


class End(NamedTuple):
    """Where a trail ends: its last line, what stands after it, and what that line is still short of.

    With `on_new_line` the file's last byte is a line break, or there is none.
    """

    link: Link
    skipped: Skipped | None
    missing: bytes
    on_new_line: bool


def find_end(trail: Trail, descriptor: int) -> End:
    """Return where the trail ends whose last file is open as `descriptor`; raises OSError.

    Whatever stands after the last line of the chain is skipped, not lost: the next line has to say so.
    """
    link, rest = _last_line(descriptor)
    if link is None:
        link = _end_of_last_aside(trail)
    if not rest:
        return End(link, None, b"", True)
    whole = chain.read(rest + b"\n")
    if whole is not None and (whole.link.seq, whole.prev) == (link.seq + 1, link.hash):
        # Cut off before its line break, and else complete.
        return End(whole.link, None, b"\n", False)
    return End(link, chain.skipping(rest), b"", rest.endswith(b"\n"))


def first_line(path: Path) -> Line | None:
    """Return the first line of the chain in a file, None if it has none; raises OSError."""
    with path.open("rb") as file:
        for text in file:
            line = chain.read(text)
            if line is not None:
                return line
    return None


def _end_of_last_aside(trail: Trail) -> Link:
    for path in reversed(trail.put_aside()):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            link, _ = _last_line(descriptor)
        finally:
            os.close(descriptor)
        if link is not None:
            return link
    return ORIGIN


def _last_line(descriptor: int) -> tuple[Link | None, bytes]:
    """Return the last line of the chain in a file, and all that stands after it."""
    size = os.fstat(descriptor).st_size
    length = min(_BLOCK, size)
    while True:
        start = size - length
        data = _read(descriptor, start, length)
        end = data.rfind(b"\n") + 1
        while end:
            # A line that begins before the block can't be read whole; a larger block may have it.
            begin = data.rfind(b"\n", 0, end - 1) + 1
            if (begin or start == 0) and (line := chain.read(data[begin:end])) is not None:
                return line.link, data[end:]
            end = begin
        if start == 0:
            return None, data
        length = min(length * 8, size)


def _read(descriptor: int, offset: int, length: int) -> bytes:
    parts = []
    while length and (part := os.pread(descriptor, length, offset)):
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return b"".join(parts)
