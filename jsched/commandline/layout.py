"""Text in two columns, for help pages."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80
_WIDEST = 120
_NARROWEST_TEXT = 30


def columns(rows: Sequence[tuple[str, str]]) -> str:
    """Lay out names and texts in two columns, the texts wrapped to the terminal's width."""
    import shutil
    import textwrap

    left = max(len(name) for name, _ in rows) + 3
    right = max(min(shutil.get_terminal_size((WIDTH, 24)).columns, _WIDEST) - left - 2, _NARROWEST_TEXT)
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, right) or [""]
        lines.append(f"  {name:<{left}}{wrapped[0]}".rstrip())
        lines += [" " * (left + 2) + line for line in wrapped[1:]]
    return "\n".join(lines)
