"""What tests of the running server have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import calls
from tests.helpers.feed import Feed
from tests.helpers.server import Server


@pytest.fixture(scope="session")
def stub(shared_server: Server) -> Iterator[Any]:
    """JobService's plain stub as admin, on the server that tests share."""
    with calls.channel(shared_server) as channel:
        yield calls.stub(channel)


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    """A FIFO through which the test decides what a job prints and when it ends."""
    with Feed(tmp_path / "feed") as feed:
        yield feed
