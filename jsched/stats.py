"""What a server is doing, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from jsched.frozen import frozen
from jsched.state import JobState


@frozen
class Load:
    """What jobs use together: seconds of CPU so far, bytes of memory, processes and threads; None if nobody tells.

    `jobs` is how many of them have told anything.
    """

    jobs: int = 0
    cpu: float | None = None
    memory: int | None = None
    pids: int | None = None


@frozen
class Stats:
    """How many jobs there are in each state, what those that run use together, and how many followers read output.

    With `owner` they are that user's jobs alone. `version` is the server's, and `started_at` when
    it was started, None for who sees no more than his own jobs; an engine tells neither.
    """

    jobs: Mapping[JobState, int]
    load: Load
    followers: int
    owner: str | None = None
    version: str = ""
    started_at: datetime | None = None
