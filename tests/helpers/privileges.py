"""Marks for tests that need a privilege which not everybody has."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

# capabilities(7)
CAP_SYS_NICE = 23


def has_capability(number: int) -> bool:
    """Return whether this process has a capability, by its number in capabilities(7)."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> number & 1)


def needs_capability(number: int, name: str) -> pytest.MarkDecorator:
    """Skip a test, naming the capability, where this process does not have it."""
    return pytest.mark.skipif(not has_capability(number), reason=f"user {os.geteuid()} has no {name} here")
