"""A good client that goes on making calls while others misbehave."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import grpc

from jsched.v1 import jobs_pb2 as pb
from tests.helpers import calls
from tests.helpers.server import Server
from tests.helpers.wait import wait_until

_PAUSE = 0.01


class Bystander:
    """Lists jobs again and again while the context lasts, and once more after that.

    At the end no call may have failed or taken `most` seconds; an error of the context itself goes before.
    """

    def __init__(self, server: Server, most: float = 10.0) -> None:
        self._server = server
        self._most = most
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.calls = 0
        self.slowest = 0.0
        self.failures: list[str] = []

    def _run(self) -> None:
        with calls.channel(self._server, "user") as channel:
            stub = calls.stub(channel)
            while not self._over.wait(_PAUSE):
                began = time.monotonic()
                try:
                    stub.ListJobs(pb.ListJobsRequest(page_size=1), timeout=calls.DEADLINE)
                except grpc.RpcError as error:
                    self.failures.append(str(error))
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.calls += 1

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait_for(1)
        return self

    def _wait_for(self, count: int) -> None:
        wait_until(lambda: self.calls >= count or not self._thread.is_alive(), calls.DEADLINE, "a bystander's call")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # The one that is under way now, and one that comes after what was done.
            self._wait_for(self.calls + 2)
        finally:
            self._over.set()
            self._thread.join()
        if error is None:
            assert not self.failures, self.failures[0]
            assert self.slowest < self._most, f"a bystander's call took {self.slowest:.1f} seconds"
