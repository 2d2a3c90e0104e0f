"""A group of cgroups for a test."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator

import pytest

from jsched.isolation.discovery import discover
from jsched.isolation.hierarchy import Hierarchy, NoHierarchy


@contextlib.contextmanager
def own_hierarchy() -> Iterator[Hierarchy]:
    """A group of the test's own, which is gone afterwards with all in it; skips the test where there can be none."""
    found = discover(f"jsched-test-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    if isinstance(found, NoHierarchy):
        pytest.skip(f"cgroups ({found.reason})")
    yield found
    found.sweep(())
    found.remove()
