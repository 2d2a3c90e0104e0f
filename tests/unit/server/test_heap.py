"""What decides where large blocks of memory come from: the last that came, a connection or a large message."""

from __future__ import annotations

import pytest

from jsched.server import heap

KIB = 1024


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the C library is told, in place of telling it."""
    told: list[int] = []
    monkeypatch.setattr(heap, "_map_from", heap._Setting())
    monkeypatch.setattr("jsched.linux.heap.map_from", told.append)
    monkeypatch.setattr("jsched.linux.heap.keep", lambda _: None)
    return told


def test_the_last_that_came_decides(settings: list[int]) -> None:
    """Blocks of the trace have mappings when a connection begins, those of messages have none once one is large."""
    trace, largest = 30 * KIB, 2048 * KIB
    heap.prepare()
    assert settings[-1] < trace
    heap.message_passes(512 * KIB)
    assert settings[-1] > largest
    heap.connection_begins()
    assert settings[-1] < trace
    assert len(settings) == 3


def test_the_c_library_is_told_of_changes_alone(settings: list[int]) -> None:
    """Small messages change nothing, and neither does more of the same."""
    heap.prepare()
    for _ in range(3):
        heap.message_passes(100)
        heap.connection_begins()
    assert len(settings) == 1
    for _ in range(3):
        heap.message_passes(512 * KIB)
        heap.message_passes(100)
    assert len(settings) == 2
