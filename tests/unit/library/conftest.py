from __future__ import annotations

from pathlib import Path

import pytest

from jsched.config import Config
from tests.helpers.library import small_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return small_config(tmp_path)
