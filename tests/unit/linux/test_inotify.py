"""The thin wrapper: real events on a real loop, and the kernel's own errors."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.linux import inotify

DEADLINE = 10


async def collect(events: list[inotify.Event], count: int, came: asyncio.Event) -> None:
    """Wait until `count` events are there."""
    async with asyncio.timeout(DEADLINE):
        while len(events) < count:
            came.clear()
            await came.wait()


def test_events_of_another_process_arrive_on_the_loop(tmp_path: Path) -> None:
    """A rename into a directory by another process arrives with its name and the directory's watch descriptor."""

    async def main() -> None:
        events: list[inotify.Event] = []
        came = asyncio.Event()

        def received(batch: list[inotify.Event]) -> None:
            events.extend(batch)
            came.set()

        instance = inotify.Inotify(received)
        wd = instance.add(tmp_path, inotify.MOVED_TO)
        script = "import os, sys; open(sys.argv[1] + '/a', 'w'); os.rename(sys.argv[1] + '/a', sys.argv[1] + '/b')"
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script, str(tmp_path)], check=True)
        await collect(events, 1, came)
        assert [(event.wd, event.name, event.mask) for event in events] == [(wd, "b", inotify.MOVED_TO)]
        instance.close()

    asyncio.run(main())


def test_the_same_inode_has_one_watch_descriptor(tmp_path: Path) -> None:
    """Two names of one inode give the same watch descriptor; a removed one can't be removed again."""

    async def main() -> None:
        (tmp_path / "a").touch()
        os.link(tmp_path / "a", tmp_path / "b")
        instance = inotify.Inotify(lambda _: None)
        wd = instance.add(tmp_path / "a", inotify.MODIFY)
        assert instance.add(tmp_path / "b", inotify.MODIFY) == wd
        instance.remove(wd)
        with pytest.raises(OSError) as caught:
            instance.remove(wd)
        assert caught.value.errno == errno.EINVAL
        instance.close()

    asyncio.run(main())


def test_the_descriptor_is_close_on_exec_and_non_blocking_and_closed_once() -> None:
    """The descriptor is not inherited, never blocks, and is gone after close, which may be called twice."""

    async def main() -> None:
        instance = inotify.Inotify(lambda _: None)
        fd = instance.fileno()
        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
        instance.close()
        instance.close()
        with pytest.raises(OSError):
            os.fstat(fd)

    asyncio.run(main())


def test_a_missing_path_is_the_kernels_error(tmp_path: Path) -> None:
    """Watching what does not exist raises ENOENT as the kernel gave it."""

    async def main() -> None:
        instance = inotify.Inotify(lambda _: None)
        with pytest.raises(FileNotFoundError):
            instance.add(tmp_path / "none", inotify.MODIFY)
        instance.close()

    asyncio.run(main())


@pytest.fixture
def no_descriptors_left() -> Iterator[None]:
    """Leave the process without a descriptor while a test runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name) for name in os.listdir("/proc/self/fd")) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptor_left_is_emfile(no_descriptors_left: None) -> None:
    """Where RLIMIT_NOFILE is reached, the kernel's EMFILE comes through."""

    async def main() -> None:
        held = []
        try:
            with pytest.raises(OSError) as caught:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            assert caught.value.errno == errno.EMFILE
            with pytest.raises(OSError) as caught:
                inotify.Inotify(lambda _: None)
            assert caught.value.errno == errno.EMFILE
        finally:
            for fd in held:
                os.close(fd)

    asyncio.run(main())
