"""What tests of the running server have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers import calls
from tests.helpers.server import Server


@pytest.fixture(scope="session")
def stub(shared_server: Server) -> Iterator[Any]:
    """JobService's plain stub as admin, on the server that tests share."""
    with calls.channel(shared_server) as channel:
        yield calls.stub(channel)
