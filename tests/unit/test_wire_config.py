from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jsched import config_sources
from jsched.errors import InvalidArgument
from jsched.wire_config import WireConfig, parse_wire


def test_a_table_sets_what_it_names() -> None:
    """What a table says is taken, sizes with units and whole seconds too; the rest keeps its default."""
    table = {"max_message_size": "1m", "max_metadata_size": 8192, "handshake_timeout": 5, "stream_idle_timeout": 0}
    assert parse_wire(table) == WireConfig(
        max_message_size=1024 * 1024, max_metadata_size=8192, handshake_timeout=5.0, stream_idle_timeout=0.0
    )
    assert parse_wire({}) == WireConfig()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "wire is not a table"),
        ({"max_mesage_size": 1}, "unknown key 'max_mesage_size' in wire"),
        ({"max_message_size": 100}, "max_message_size is 100 bytes, not from 4 KiB to 64 MiB"),
        ({"max_message_size": "1g"}, "max_message_size is 1 GiB, not from 4 KiB to 64 MiB"),
        ({"max_message_size": "big"}, "max_message_size 'big' is not a size"),
        ({"max_message_size": 5000.5}, "max_message_size is 5000.5, not a whole number"),
        ({"max_metadata_size": 0}, "max_metadata_size is 0 bytes, not from 1 KiB to 1 MiB"),
        ({"max_connections": -1}, "max_connections is -1, not from 0 to 10000000"),
        ({"max_streams_per_connection": 0}, "max_streams_per_connection is 0, not from 1 to"),
        ({"max_streams_per_user": True}, "max_streams_per_user is True, not a whole number"),
        ({"handshake_timeout": 0}, "handshake_timeout is 0 seconds, not from 0.1 to 3600"),
        ({"handshake_timeout": "10s"}, "handshake_timeout is '10s', not a number of seconds"),
        ({"connection_age": float("nan")}, "connection_age is nan seconds, not from 0 to 31622400 seconds"),
        ({"keepalive_time": 0.5}, "keepalive_time is 0.5 seconds, not from 1 to"),
    ],
)
def test_a_wrong_table_is_refused_with_the_key(table: Any, message: str) -> None:
    """A value that can't be meant is an error that names the key, the value and what it may be."""
    with pytest.raises(InvalidArgument) as caught:
        parse_wire(table)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("key", ["max_message_size", "max_streams_per_connection", "handshake_timeout"])
def test_a_key_that_has_moved_is_found(tmp_path: Path, key: str) -> None:
    """What an earlier version had at the top, or in a variable, is an error that says where it stands now."""
    file = tmp_path / "jsched.toml"
    file.write_text(f"{key} = 5000\n")
    environ = {"HOME": str(tmp_path)}
    with pytest.raises(InvalidArgument, match=rf"jsched\.toml: {key} stands in the table \[wire\]"):
        config_sources.load({}, config_file=str(file), environ=environ)
    with pytest.raises(InvalidArgument, match=rf"variable JSCHED_{key.upper()} stands in the table \[wire\]"):
        config_sources.load({}, environ={**environ, f"JSCHED_{key.upper()}": "5000"})
    file.write_text(f"[wire]\n{key} = 5000\n")
    if key != "handshake_timeout":
        assert getattr(config_sources.load({}, config_file=str(file), environ=environ).wire, key) == 5000
        return
    with pytest.raises(InvalidArgument, match=r"jsched\.toml: wire: handshake_timeout is 5000 seconds"):
        config_sources.load({}, config_file=str(file), environ=environ)
