"""Waiting for a condition, with a deadline: what tests do in place of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_SHORTEST, _LONGEST = 0.002, 0.05


def wait_until(condition: Callable[[], T | None], timeout: float = 30.0, what: str = "a condition") -> T:
    """Return the first true value of `condition`, asked again and again.

    Raises AssertionError, saying what was waited for, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    pause = _SHORTEST
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about in {timeout:g} seconds; the last value was {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST)
    return value
