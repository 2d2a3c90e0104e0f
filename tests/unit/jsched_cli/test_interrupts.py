"""Ctrl-C in `run`: what is said, and when nothing is said any more."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, cast

import pytest

from jsched.client import Client
from jsched.errors import FailedPrecondition
from jsched_cli.interrupts import Interrupts
from tests.helpers.wait import wait_until


class StopThatEndsWithTheClient:
    """Has a stop wait until the client is closed, and fail then."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.stopping: threading.Thread | None = None

    def stop(self, ref: str, grace: float | None = None) -> Any:
        """Wait for the client's end."""
        self.stopping = threading.current_thread()
        self.closed.wait(20)
        raise FailedPrecondition("the client is closed")


def test_a_stop_that_is_cut_off_by_leaving_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A stop that is under way when the client is closed at the end does not speak up after it."""
    client = StopThatEndsWithTheClient()
    with Interrupts(cast(Client, client)) as interrupts:
        interrupts.started("11111111-2222-4333-8444-555555555555")
        os.kill(os.getpid(), signal.SIGINT)
        stopping = wait_until(lambda: client.stopping, what="the stop")
    client.closed.set()
    stopping.join(20)
    assert not stopping.is_alive()
    assert capsys.readouterr().err == "jsched-cli: stopping; press Ctrl-C again to kill it\n"
