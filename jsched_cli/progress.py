"""How far an upload is, on one line of a terminal; a stderr that is none gets nothing."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

from jsched_cli.rootfs import size

_BAR = 30
_PAUSE = 0.1
_ERASE = "\r\x1b[K"


class Progress:
    """A bar that is drawn by `show`, at most ten times a second, and gone at the end; safe to use from any thread."""

    def __init__(self) -> None:
        self._wanted = sys.stderr is not None and sys.stderr.isatty()
        self._lock = threading.Lock()
        self._next = 0.0
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clear()
        self._wanted = False

    def show(self, sent: int, total: int) -> None:
        """Draw the bar for `sent` of `total` bytes."""
        with self._lock:
            now = time.monotonic()
            if not self._wanted or (now < self._next and sent < total):
                return
            self._next = now + _PAUSE
            done = _BAR * sent // total
            what = f"{size(sent)} of {size(total)}" if sent < total else "unpacking"
            self._write(f"{_ERASE}[{'#' * done}{'.' * (_BAR - done)}] {100 * sent // total:3}%  {what}")
            self._drawn = True

    def clear(self) -> None:
        """Take the bar off the terminal."""
        with self._lock:
            if self._drawn:
                self._write(_ERASE)
                self._drawn = False

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            self._wanted = False
