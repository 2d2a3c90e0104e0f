"""Jobs of a running server, as one of its users has them."""

from __future__ import annotations

from jsched.job import Exited, JobSpec
from tests.helpers.server import Server


def run(server: Server, command: list[str]) -> str:
    """Run a command as a job, and return what it has printed."""
    client = server.client()
    job = client.start(JobSpec(command))
    output = b"".join(chunk.data for chunk in client.follow(job.id)).decode()
    ended = client.wait(job.id)
    assert ended.outcome == Exited(0), output
    return output
