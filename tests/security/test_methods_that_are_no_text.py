"""Calls whose method is not UTF-8, after which gRPC takes no more calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from jsched.errors import Unavailable
from jsched.job import JobSpec
from tests.helpers import h2
from tests.helpers.h2 import Connection, call_headers, frame
from tests.helpers.server import Server
from tests.helpers.trail import trail
from tests.helpers.wait import wait_until

pytestmark = pytest.mark.timeout(90)

TIMES = 3


def restarts(server: Server) -> int:
    return sum(line["event"] == "listener_restarted" for line in trail(server))


def answers(server: Server) -> bool:
    """Return whether a new connection is served."""
    client = server.client(reconnect_timeout=5.0)
    try:
        client.list()
    except Unavailable:
        return False
    return True


def test_the_server_takes_calls_again(server: Server, tmp_path: Path) -> None:
    """Whoever sends one, again and again, ends no call that runs, and new calls are taken soon after."""
    done = tmp_path / "done"
    script = 'echo begin; while [ ! -e "$0" ]; do sleep 0.05; done; echo end'
    job_id = server.client().start(JobSpec(["sh", "-c", script, str(done)])).id
    reconnects: list[object] = []
    before = restarts(server)
    restarted: list[int] = []
    with server.client().follow(job_id, on_reconnect=lambda error, _: reconnects.append(error)) as stream:
        output = next(stream).data
        for _ in range(TIMES):
            with Connection(server, "user") as connection:
                connection.send(frame(h2.HEADERS, h2.END_HEADERS, 1, call_headers("/jsched.v1.JobService/\xff")))
                wait_until(lambda: restarts(server) - before > len(restarted) or None, what="the next listener")
                wait_until(lambda: answers(server) or None, what="an answer")
                restarted.append(restarts(server) - before)
        done.touch()
        output += b"".join(chunk.data for chunk in stream)
    assert (output, reconnects) == (b"begin\nend\n", [])
    assert restarted == [1, 2, 3]
