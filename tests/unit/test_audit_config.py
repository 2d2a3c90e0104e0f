"""The table [audit]: what it means, and an error for what is not understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jsched import config_sources
from jsched.audit_config import AuditConfig, parse_audit
from jsched.errors import InvalidArgument


def test_nothing_is_removed_that_nobody_has_said_may_go() -> None:
    """A server that is told nothing keeps all files."""
    assert parse_audit({}) == AuditConfig(max_size=64 << 20, keep=None)


def test_the_table_of_the_file(tmp_path: Path) -> None:
    """Every key means what it says, sizes as people write them."""
    path = tmp_path / "jsched.toml"
    path.write_text('[audit]\nmax_size = "8MiB"\nkeep = 3\nanchor_interval = 60\n')
    assert config_sources.load({}, config_file=str(path), environ={}).audit == AuditConfig(8 << 20, 3, 60)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"size": 1}, "unknown key 'size' in audit"),
        ({"max_size": 1000}, "max_size is 1000"),
        ({"max_size": True}, "max_size is True"),
        ({"max_size": "much"}, "max_size 'much' is not a size"),
        ({"keep": 0}, "keep is 0"),
        ({"keep": "all"}, "keep is 'all'"),
        ({"anchor_interval": 0}, "anchor_interval is 0"),
        ({"anchor_interval": "1"}, "anchor_interval is '1'"),
        ("yes", "audit is not a table"),
    ],
)
def test_what_is_not_understood_is_an_error(table: Any, says: str) -> None:
    """A key or value that means nothing is named."""
    with pytest.raises(InvalidArgument, match=says):
        parse_audit(table)
