"""The file that the trail is written to, and the chain that goes on in it; used by one thread.

A line that was begun is finished before the next one is: where the disk was full in the middle
of it, its rest is written first as soon as there is room.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsched.audit import chain
from jsched.audit.chain import Link, Skipped
from jsched.audit.line import body, timestamp
from jsched.audit.trail import Trail, find_end, first_line
from jsched.linux import space

# Set aside in steps, so that the last step that fits is had.
_STEP = 1 << 16
# A FIFO or a link in the file's place would have the lines go elsewhere.
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
UNLIMITED = sys.maxsize


class Writer:
    """The end of a trail; raises OSError if it can't be opened or read.

    `ahead` is how many bytes are set aside behind the file's end, UNLIMITED where the file system
    can't set anything aside. `link` is the last line's.
    """

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._skipped: Skipped | None = None
        self._rest = b""
        self._descriptor = -1
        self._open()
        end = find_end(trail, self._descriptor)
        self.link = end.link
        self._skipped = end.skipped
        self._rest = end.missing or (b"" if end.on_new_line else b"\n")

    def _open(self) -> None:
        descriptor = os.open(self._trail.path, _FLAGS | os.O_CREAT, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a regular file", str(self._trail.path))
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._identity = status.st_dev, status.st_ino
        self.size = status.st_size
        first = first_line(self._trail.path) if self.size else None
        self._first = first.link.seq if first else None
        self._set_aside_to = self.size
        self._can_set_aside = True

    @property
    def ahead(self) -> int:
        """How many bytes can be written for sure."""
        return max(self._set_aside_to - self.size, 0) if self._can_set_aside else UNLIMITED

    @property
    def limited(self) -> bool:
        """Whether room can be set aside, as far as is known."""
        return self._can_set_aside

    @property
    def skipped(self) -> Skipped | None:
        """What the next line will say of bytes before it that are no line of the chain."""
        return self._skipped

    def set_aside(self, wanted: int) -> None:
        """Have `wanted` bytes ahead, or as many as there are; raises OSError if that is fewer."""
        while self._can_set_aside and self.ahead < wanted:
            start = max(self._set_aside_to, self.size)
            try:
                space.set_aside(self._descriptor, start, _STEP)
            except OSError as error:
                if not space.is_unsupported(error):
                    raise
                self._can_set_aside = False
            else:
                self._set_aside_to = start + _STEP

    def append(self, bodies: Sequence[bytes]) -> tuple[list[Link], OSError | None]:
        """Write a line for each body; return the links of those that are written whole, and what stopped the rest."""
        lines, links = [], []
        link, skipped = self.link, self._skipped
        for each in bodies:
            line, link = chain.seal(each, link, skipped)
            skipped = None
            lines.append(line)
            links.append(link)
        written, failure = self._write(self._rest + b"".join(lines))
        if written < len(self._rest):
            self._rest = self._rest[written:]
            return [], failure
        written -= len(self._rest)
        self._rest = b""
        whole = 0
        for line, link in zip(lines, links, strict=True):
            if written <= 0:
                break
            # It stands in the file, or its beginning does and its rest will.
            self.link, self._skipped = link, None
            self._first = self._first or link.seq
            self._rest = line[written:]
            written -= len(line)
            whole += written >= 0
        return links[:whole], failure

    def displaced(self) -> str:
        """Return what somebody else has done to the file since the last line: nothing as a rule."""
        try:
            status = os.lstat(self._trail.path)
        except FileNotFoundError:
            return "the file was moved away or removed"
        if (status.st_dev, status.st_ino) != self._identity:
            return "another file stands in its place"
        if status.st_size != self.size:
            return f"the file has {status.st_size} bytes, and {self.size} were written"
        return ""

    def reopen(self) -> None:
        """Go on in the file that has the trail's name now, made if it is not there; raises OSError."""
        self._open()
        tail = os.pread(self._descriptor, 1, self.size - 1) if self.size else b"\n"
        self._rest = b"" if tail == b"\n" else b"\n"

    def rotate(self, wanted: int) -> Path:
        """Put the file aside and begin a new one with `wanted` bytes ahead; return where the old one is.

        Raises OSError; then the old one is written on.
        """
        making = self._trail.path.with_suffix(".next")
        descriptor = os.open(making, _FLAGS | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if self._can_set_aside:
                space.set_aside(descriptor, 0, wanted)
            os.fdatasync(self._descriptor)
            aside = self._replace(making)
        except OSError:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(making)
            raise
        with contextlib.suppress(OSError):
            # What was set aside behind its end is given back.
            os.ftruncate(self._descriptor, self.size)
        os.close(self._descriptor)
        status = os.fstat(descriptor)
        self._descriptor, self._identity = descriptor, (status.st_dev, status.st_ino)
        self.size, self._first, self._set_aside_to = 0, None, wanted
        return aside

    def duplicate(self) -> int:
        """Return another descriptor of the file, for a thread that syncs it."""
        return os.dup(self._descriptor)

    def close(self) -> None:
        """Finish a line that was begun, if that can be done, and close the file; what is set aside stays."""
        if self._rest not in (b"", b"\n"):
            self._write(self._rest)
        os.close(self._descriptor)

    def _replace(self, new: Path) -> Path:
        aside = self._trail.aside(self._first or 0)
        if aside.exists():
            raise FileExistsError(errno.EEXIST, f"{aside} is there already")
        os.rename(self._trail.path, aside)
        try:
            os.rename(new, self._trail.path)
        except OSError:
            os.rename(aside, self._trail.path)
            raise
        return aside

    def _write(self, data: bytes) -> tuple[int, OSError | None]:
        written = 0
        view = memoryview(data)
        try:
            while written < len(data):
                written += os.write(self._descriptor, view[written:])
        except OSError as error:
            return self._count(written), error
        return self._count(written), None

    def _count(self, written: int) -> int:
        self.size += written
        return written


def event_body(kind: str, fields: Mapping[str, Any]) -> bytes:
    """Return the body of a line about something that is no call."""
    return body({"time": timestamp(time.time()), "event": kind, **fields})
