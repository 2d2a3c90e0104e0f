"""Messages to people, on a stderr that may be anything."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def report(text: str) -> None:
    """Write lines to stderr; a stderr that is closed or full is nobody's error.

    Control characters other than line breaks and tabs are escaped: messages quote what
    others chose.
    """
    try:
        sys.stderr.write("".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        silence(sys.stderr)


def one_line(text: str) -> str:
    """Return a message with line breaks and tabs escaped too: what it quotes must not look like lines of ours."""
    return "".join(_escape(c) if c in "\n\t" else c for c in text)


def silence(stream: TextIO | None) -> None:
    """Point a dead stream's descriptor at /dev/null: the interpreter flushes it once more at exit."""
    if stream is None:
        return
    try:
        dead, null = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
        # One that is closed has just been given back its own number.
        if null != dead:
            os.dup2(null, dead)
            os.close(null)
    except (OSError, ValueError):
        return


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
