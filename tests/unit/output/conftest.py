"""The writer, a process of its own, for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.output.rig import Writer


@pytest.fixture
def writer() -> Iterator[Writer]:
    """A process that appends to files when it is told to."""
    process = Writer()
    yield process
    process.close()
