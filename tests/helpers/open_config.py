"""A configuration in which jobs have no walls, for tests that talk to their jobs through files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsched.config import Config
from jsched.confinement import Mode
from jsched.isolation_config import IsolationConfig


def open_config(root: Path, **fields: Any) -> Config:
    """Return the configuration of an engine whose directories are below `root`."""
    walls = IsolationConfig(default=Mode.NONE, modes=frozenset())
    return Config(data_dir=root / "data", log_dir=root / "logs", isolation=walls, **fields)
