"""jsched: run a command on a Linux host, follow all it prints, know how it ended.

The names below are the library; `jsched.client` is the same from afar. Names are loaded
when they are first used, because the client and the launcher must not pay for the engine.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsched.config import Config
    from jsched.engine import Engine
    from jsched.errors import JschedError
    from jsched.job import (
        Chunk,
        Exited,
        FailedStep,
        Job,
        JobFilter,
        JobPage,
        JobSpec,
        Lost,
        Outcome,
        Reason,
        Signaled,
        StopResult,
        Usage,
    )
    from jsched.limits import DiskLimit, Limits, Unenforced
    from jsched.output.follower import Follower
    from jsched.rootfs import Archive, Rootfs
    from jsched.state import JobState
    from jsched.stats import Load, Stats
    from jsched.terms import Terms

__all__ = [
    "Archive",
    "Chunk",
    "Config",
    "DiskLimit",
    "Engine",
    "Exited",
    "FailedStep",
    "Follower",
    "Job",
    "JobFilter",
    "JobPage",
    "JobSpec",
    "JobState",
    "JschedError",
    "Limits",
    "Load",
    "Lost",
    "Outcome",
    "Reason",
    "Rootfs",
    "Signaled",
    "Stats",
    "StopResult",
    "Terms",
    "Unenforced",
    "Usage",
]

_HOMES = {
    "Archive": "jsched.rootfs",
    "Config": "jsched.config",
    "DiskLimit": "jsched.limits",
    "Engine": "jsched.engine",
    "Follower": "jsched.output.follower",
    "JobState": "jsched.state",
    "JschedError": "jsched.errors",
    "Limits": "jsched.limits",
    "Load": "jsched.stats",
    "Stats": "jsched.stats",
    "Terms": "jsched.terms",
    "Unenforced": "jsched.limits",
    "Rootfs": "jsched.rootfs",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'jsched' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "jsched.job")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
