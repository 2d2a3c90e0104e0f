from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jsched.commands.doctor import audit
from jsched.commands.doctor.finding import Level
from jsched.config import Config
from jsched.server.audit import Audit, Entry


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path, log_dir=tmp_path / "logs")


def write(config: Config, count: int) -> None:
    async def run() -> None:
        async with Audit(config.audit_log) as trail:
            for _ in range(count):
                await trail.write(Entry("m", "p", 0.0))

    asyncio.run(run())


def test_a_trail_that_is_whole(config: Config) -> None:
    """Before the first start there is nothing to look at; then the last lines are, and whether there is room."""
    assert audit.trail(config).level is Level.OK
    write(config, 3)
    finding = audit.trail(config)
    assert (finding.level, "3 lines are whole" in finding.text) == (Level.OK, True)
    assert audit.room(config).level is Level.OK


def test_room_that_can_not_be_tried(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file can be made, that says nothing about the file system."""

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    finding = audit.room(config)
    assert (finding.text, finding.advice) == ("can't be tried: Permission denied", "see the data directory")


def test_a_trail_that_was_changed(config: Config) -> None:
    """A line that was changed, and an end that was cut off, are failures that say what to do."""
    write(config, 5)
    content = config.audit_log.read_bytes()
    config.audit_log.write_bytes(content.replace(b'"seq":3,', b'"seq":3, '))
    finding = audit.trail(config)
    assert finding.level is Level.FAIL
    assert "line 3 was changed" in finding.text
    assert "jsched audit verify" in finding.advice
    config.audit_log.write_bytes(b"".join(content.splitlines(keepends=True)[:-1]))
    assert "the end was cut off" in audit.trail(config).text
