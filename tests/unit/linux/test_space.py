from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jsched.linux import space
from tests.helpers.small_disk import small_disk


def test_what_is_set_aside_can_be_written_on_a_full_disk(tmp_path: Path) -> None:
    """The file stays as long as it is, the disk has less room, and a write of so much works when it has none."""
    with small_disk(tmp_path / "disk", 1 << 20) as disk, (disk / "file").open("ab", buffering=0) as file:
        space.set_aside(file.fileno(), 0, 1 << 18)
        assert os.fstat(file.fileno()).st_size == 0
        with (disk / "fill").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while filler.write(bytes(4096)):
                pass
        assert file.write(bytes(1 << 18)) == 1 << 18
        with pytest.raises(OSError, match="fallocate: No space left on device") as caught:
            space.set_aside(file.fileno(), 1 << 18, 1 << 18)
        assert caught.value.errno == errno.ENOSPC
        assert not space.is_unsupported(caught.value)


def test_where_nothing_can_be_set_aside() -> None:
    """A device says that it can't, and that is told from a disk that is full."""
    with open("/dev/full", "ab", buffering=0) as device, pytest.raises(OSError) as caught:
        space.set_aside(device.fileno(), 0, 4096)
    assert space.is_unsupported(caught.value)
