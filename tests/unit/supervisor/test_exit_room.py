from __future__ import annotations

import errno
from pathlib import Path

import pytest

from jsched.supervisor import ending, record
from jsched.supervisor.exit_room import ExitRoom
from jsched.supervisor.record import ExitRecord
from tests.helpers.small_disk import fill, small_disk

END = ExitRecord("j1", 3, None, None, None, False, False, False, 1, 2, 0.5, 0.5, 4096)


def test_an_exit_record_finds_the_room_that_was_kept_for_it(tmp_path: Path) -> None:
    """On a disk without a free byte an end is written whole, and nothing but it is in the directory."""
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        exits = disk / "exits"
        exits.mkdir()
        room = ExitRoom()
        room.have(str(exits))
        fill(disk)
        with pytest.raises(OSError, match="No space") as refused:
            record.write_exit(exits, END)
        assert refused.value.errno == errno.ENOSPC
        ending.write(str(exits), END, room)
        assert record.read_exit(exits, "j1") == END
        assert [path.name for path in exits.iterdir()] == ["j1"]
        assert not room.write(str(exits), END)
        with pytest.raises(OSError, match="No space"):
            room.have(str(exits))


def test_room_that_is_not_needed_is_kept_for_the_next_job(tmp_path: Path) -> None:
    """With room on the disk the record is written as ever, and what was set aside stays."""
    room = ExitRoom()
    room.have(str(tmp_path))
    ending.write(str(tmp_path), END, room)
    assert record.read_exit(tmp_path, "j1") == END
    assert room.write(str(tmp_path), END._replace(job_id="j2"))
    assert record.read_exit(tmp_path, "j2") == END._replace(job_id="j2")
