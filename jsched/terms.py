"""On which terms a job is started for somebody: what its owner is granted, as far as it is not the server's own."""

from __future__ import annotations

from dataclasses import dataclass

from jsched.isolation_config import IsolationConfig
from jsched.limits import Limits


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for the start of one job; None is the server's own, or no limit.

    `profile` are the limits of a job that asks for none, in place of those of the configuration.
    `rules` say what may be asked of its walls, besides the configuration, which holds all the
    same. `max_jobs` is how many jobs its owner may have that have not ended, this one included.
    With `rootfs_of`, only that user's root file systems exist.
    """

    profile: Limits | None = None
    rules: IsolationConfig | None = None
    max_jobs: int | None = None
    rootfs_of: str | None = None


SERVERS_OWN = Terms()
