"""The chain: each line has a number, and the hash of the line before.

A hash is SHA-256 over all bytes of a line, its line break included, so that
`sed -n 5p audit.jsonl | sha256sum` gives it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

_ANCHOR = re.compile(r"(\d{1,20}):([0-9a-f]{64})", re.ASCII)


class Link(NamedTuple):
    """A line of the chain by its number and its hash: an anchor, if it is written down elsewhere."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


class Skipped(NamedTuple):
    """Bytes that stand before a line and are no line of the chain, such as a line that a crash has cut off."""

    bytes: int
    sha256: str


class Line(NamedTuple):
    """A line of the chain as it stands in a file."""

    link: Link
    prev: str
    skipped: Skipped | None
    fields: dict[str, Any]


ORIGIN = Link(0, "0" * 64)


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data`, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def skipping(data: bytes) -> Skipped:
    """Return what a line has to say of bytes that stand before it."""
    return Skipped(len(data), digest(data))


def seal(body: bytes, before: Link, skipped: Skipped | None = None) -> tuple[bytes, Link]:
    """Return a line with this body that follows `before`, and its own link."""
    seq = before.seq + 1
    gap = b"" if skipped is None else b',"skipped":{"bytes":%d,"sha256":"%b"}' % (skipped[0], skipped[1].encode())
    line = b'{"seq":%d,%b%b,"prev":"%b"}\n' % (seq, body, gap, before.hash.encode())
    return line, Link(seq, digest(line))


def read(line: bytes) -> Line | None:
    """Return what a line says, its line break included; None if it is no line of a chain."""
    if not line.endswith(b"\n"):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    seq, prev, gap = fields.get("seq"), fields.get("prev"), fields.get("skipped")
    if not isinstance(seq, int) or isinstance(seq, bool) or seq < 1 or not isinstance(prev, str):
        return None
    skipped = None
    if isinstance(gap, dict) and isinstance(gap.get("bytes"), int) and isinstance(gap.get("sha256"), str):
        skipped = Skipped(gap["bytes"], gap["sha256"])
    return Line(Link(seq, digest(line)), prev, skipped, fields)


def parse_anchor(text: str) -> Link | None:
    """Return the link that `SEQ:HASH` names, None if it is none."""
    match = _ANCHOR.fullmatch(text)
    return Link(int(match[1]), match[2]) if match else None


def find_anchors(text: str) -> list[Link]:
    """Return every link that stands in a text, such as the server's log."""
    return [Link(int(seq), value) for seq, value in _ANCHOR.findall(text)]
