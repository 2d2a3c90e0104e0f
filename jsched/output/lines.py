"""Lines of an output, cut from the chunks in which it is read."""

from __future__ import annotations

from collections.abc import Iterator

MAX_LINE = 1024 * 1024
"""The longest piece of a line, in bytes, that is handed out."""


def cut_lines(held: bytearray, data: bytes) -> Iterator[bytes]:
    """Cut `data` into lines; what is no whole line is in `held` afterwards, and comes before the next data."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start, start + MAX_LINE - len(held)) + 1
        if not end:
            end = min(len(data), start + MAX_LINE - len(held))
            if len(held) + end - start < MAX_LINE:
                held += data[start:end]
                return
        if held:
            held += data[start:end]
            yield bytes(held)
            held.clear()
        else:
            yield data[start:end]
        start = end
