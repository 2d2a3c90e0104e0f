"""What tests of archives have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jsched.archive.refusal import Limits
from jsched.archive.unpacking import Unpacked, Unpacking

LIMITS = Limits(size=64 * 1024 * 1024, entries=1000, seconds=60)
Unpack = Callable[..., Unpacked]


@pytest.fixture
def unpack(tmp_path: Path) -> Unpack:
    """Return a function that unpacks an archive's bytes into `tmp_path / "tree"`, with all walls."""

    def unpack(archive: bytes, limits: Limits = LIMITS) -> Unpacked:
        (tmp_path / "archive").write_bytes(archive)
        (tmp_path / "tree").mkdir(mode=0o700)
        with (tmp_path / "archive").open("rb") as file:
            return Unpacking(file.fileno(), tmp_path / "tree", limits).run()

    return unpack
