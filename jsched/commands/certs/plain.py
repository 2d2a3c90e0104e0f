"""Text of certificates, in which whoever made them may have put anything, for a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return text in ASCII, with everything else escaped as in Python's string literals."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")
