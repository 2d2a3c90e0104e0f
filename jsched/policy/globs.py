"""Patterns: `*` is any characters but a slash, `**` any at all, `?` one but a slash, `[a-z]` and `[!a-z]` a set.

Matched without backtracking: a caller chooses the text, and must not choose how long that takes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

# The longest path there is, limits.h PATH_MAX: a longer text is only matched by itself, and by `**`.
LONGEST = 4096
_SPECIAL = frozenset("*?[")


class _Step(NamedTuple):
    """A part of a pattern: which characters it takes, and whether any number of them."""

    takes: Callable[[str], bool]
    repeated: bool = False


def is_pattern(text: str) -> bool:
    """Return whether a text means more than itself."""
    return not _SPECIAL.isdisjoint(text)


def check(pattern: str) -> None:
    """Raise ValueError, saying why, for what is no pattern."""
    _steps(pattern)


def matches(pattern: str, text: str) -> bool:
    """Return whether a pattern is of the whole of a text; the time is that of the one by that of the other."""
    if pattern == "**":
        return True
    if not is_pattern(pattern):
        return pattern == text
    if len(text) > LONGEST:
        return False
    steps = _steps(pattern)
    places = _reachable(steps, {0})
    for character in text:
        reached = set()
        for place in places:
            if place < len(steps) and steps[place].takes(character):
                reached.add(place if steps[place].repeated else place + 1)
        places = _reachable(steps, reached)
        if not places:
            return False
    return len(steps) in places


def _reachable(steps: tuple[_Step, ...], places: set[int]) -> set[int]:
    """Return the places of a pattern that are reached from some of them without a character."""
    for place in tuple(places):
        behind = place
        while behind < len(steps) and steps[behind].repeated:
            behind += 1
            places.add(behind)
    return places


@functools.lru_cache(maxsize=4096)
def _steps(pattern: str) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if pattern.startswith("**", at):
            steps.append(_Step(_any, repeated=True))
            at += 2
        elif character == "[":
            step, at = _set(pattern, at)
            steps.append(step)
        else:
            steps.append(_WILD.get(character) or _Step(character.__eq__))
            at += 1
    return tuple(steps)


def _set(pattern: str, at: int) -> tuple[_Step, int]:
    """Return the step of a set that begins at a bracket, and where the pattern goes on."""
    first = at + 1
    negated = pattern.startswith("!", first)
    if negated:
        first += 1
    # A bracket that comes first is one of the set.
    end = pattern.find("]", first + 1)
    if end < 0:
        raise ValueError(f"'[' is not closed in {pattern!r}")
    ranges = []
    position = first
    while position < end:
        low = high = pattern[position]
        if pattern[position + 1] == "-" and position + 2 < end:
            high = pattern[position + 2]
            position += 2
        if low > high:
            raise ValueError(f"{low}-{high} is no range in {pattern!r}")
        ranges.append((low, high))
        position += 1
    return _Step(functools.partial(_in_set, tuple(ranges), negated)), end + 1


def _any(_: str) -> bool:
    return True


def _no_slash(character: str) -> bool:
    return character != "/"


def _in_set(ranges: tuple[tuple[str, str], ...], negated: bool, character: str) -> bool:
    # A slash is never in a set, however it is written.
    return character != "/" and any(low <= character <= high for low, high in ranges) != negated


_WILD = {"*": _Step(_no_slash, repeated=True), "?": _Step(_no_slash)}
