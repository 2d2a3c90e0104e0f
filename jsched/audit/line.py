"""One line of the audit trail as bytes: JSON in pure ASCII, and never longer than MAX_LINE.

Control characters, line breaks and marks that turn the direction of text are escaped, so that
one line stays one line on every terminal. What callers send is shortened to a bound each.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

MAX_LINE = 4096
# As they stand in the file, with what they are escaped to.
MAX_FIELD = 200
MAX_LONG_FIELD = 400
_LONG_FIELDS = frozenset({"rule", "reason"})
_MAX_ARGV = 1200
# One character outside of the Basic Multilingual Plane is two escapes of six.
_WORST_ESCAPE = 12
_CUT = "..."

# json.dumps would make a new encoder for each line.
encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def body(fields: Mapping[str, Any]) -> bytes:
    """Return the fields as the inside of a JSON object, texts shortened to their bounds."""
    short = {
        name: shorten(value, MAX_LONG_FIELD if name in _LONG_FIELDS else MAX_FIELD) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    return encode(short)[1:-1].encode("ascii")


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch as UTC to the millisecond (RFC 3339)."""
    whole, fraction = divmod(int(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{fraction:03}Z"


def shorten(text: str, limit: int) -> str:
    """Return the text, cut so that it takes `limit` bytes at most between its quotes."""
    if len(text) * _WORST_ESCAPE <= limit or (len(text) * 2 <= limit and text.isascii() and text.isprintable()):
        return text
    if len(text) <= limit and len(encode(text)) - 2 <= limit:
        return text
    left = limit - len(_CUT)
    for position, character in enumerate(text):
        left -= len(encode(character)) - 2
        if left < 0:
            return text[:position] + _CUT
    return text


def command_line(argv: Sequence[str]) -> dict[str, Any]:
    """Return the field `argv`; where not all of it fits, also how many bytes were left out, and a hash of the whole.

    Bytes and hash (SHA-256) are those of /proc/PID/cmdline: UTF-8, each argument ended by a NUL.
    """
    shown: list[str] = []
    left = _MAX_ARGV
    kept = 0
    for argument in argv:
        fits = shorten(argument, max(left, len(_CUT)))
        cost = len(encode(fits)) + 1
        if fits != argument or cost > left:
            if left > len(_CUT) + 3:
                shown.append(fits)
                kept += len(_utf8(fits.removesuffix(_CUT)))
            whole = b"".join(_utf8(one) + b"\0" for one in argv)
            return {
                "argv": shown,
                "argv_left_out": len(whole) - kept,
                "argv_sha256": hashlib.sha256(whole).hexdigest(),
            }
        shown.append(argument)
        kept += len(_utf8(argument)) + 1
        left -= cost
    return {"argv": shown}


def names(values: Sequence[str]) -> list[str]:
    """Return as many of the names as fit in a field, and "..." if that is not all of them."""
    shown: list[str] = []
    left = MAX_FIELD
    for value in values:
        left -= len(encode(value)) + 1
        if left < len(_CUT) + 3:
            return [*shown, _CUT]
        shown.append(value)
    return shown


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
