"""Doorbells: counted watches, overflow, failing callbacks, and the limits of the kernel."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.errors import Internal
from tests.unit.output.rig import rig

_APPEND = """
import os, sys
last, count, *paths = sys.argv[1:]
fds = [os.open(path, os.O_WRONLY | os.O_APPEND) for path in paths]
for _ in range(int(count)):
    for fd in fds:
        os.write(fd, b'x')
os.write(os.open(last, os.O_WRONLY | os.O_APPEND), b'last')
"""


def queue_length() -> int:
    """Return how many events the kernel queues for an instance."""
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def test_one_inode_has_one_kernel_watch_and_none_in_the_end(tmp_path: Path) -> None:
    """The same inode watched three times is one kernel watch, which goes with the last share, closed twice or not."""

    async def main() -> None:
        (tmp_path / "a").touch()
        os.link(tmp_path / "a", tmp_path / "b")
        async with rig() as made:
            watches = [made.watcher.watch_file(tmp_path / name, lambda: None) for name in ("a", "a", "b")]
            watches.append(made.watcher.watch_directory(tmp_path, lambda _: None))
            counts = [made.kernel_watches()]
            for watch in watches:
                watch.close()
                watch.close()
                counts.append(made.kernel_watches())
            assert counts == [2, 2, 2, 1, 0]

    asyncio.run(main())


def test_a_closed_watch_rings_no_more_and_leaves_the_other(tmp_path: Path) -> None:
    """After one share is closed, a write rings the other share alone."""

    async def main() -> None:
        path = tmp_path / "a"
        path.touch()
        rung = []
        async with rig() as made:
            heard = asyncio.Event()
            first = made.watcher.watch_file(path, lambda: rung.append("first"))
            made.watcher.watch_file(path, lambda: rung.append("second"))
            made.watcher.watch_file(path, heard.set)
            first.close()
            path.write_bytes(b"x")
            await heard.wait()
        assert rung == ["second"]

    asyncio.run(main())


def test_a_failing_callback_does_not_stop_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that raises is logged, and those after it are still called, at this event and the next."""

    async def main() -> None:
        path = tmp_path / "a"
        path.touch()
        async with rig() as made:
            heard = asyncio.Event()

            def fails() -> None:
                raise ValueError("a bad bell")

            made.watcher.watch_file(path, fails)
            made.watcher.watch_file(path, heard.set)
            for _ in range(2):
                heard.clear()
                path.write_bytes(b"x")
                await heard.wait()

    asyncio.run(main())
    assert "a bad bell" in caplog.text


def test_a_callback_may_close_watches_and_make_new_ones(tmp_path: Path) -> None:
    """A bell that closes its neighbour and hangs up another one upsets nothing, and the neighbour stays silent."""

    async def main() -> None:
        path = tmp_path / "a"
        path.touch()
        async with rig() as made:
            heard = asyncio.Event()
            silent = []

            def rearrange() -> None:
                first.close()
                second.close()
                made.watcher.watch_file(path, heard.set)

            first = made.watcher.watch_file(path, rearrange)
            second = made.watcher.watch_file(path, lambda: silent.append(1))
            path.write_bytes(b"x")
            while not heard.is_set():
                path.write_bytes(b"y")
                await asyncio.sleep(0)
            assert not silent
            assert made.kernel_watches() == 1

    asyncio.run(main())


def test_directory_says_names_but_not_hidden_ones(tmp_path: Path) -> None:
    """A name renamed into place is told once; a name that begins with a dot, and a file made in place, are not."""

    async def main() -> None:
        names: list[str | None] = []
        async with rig() as made:
            heard = asyncio.Event()

            def arrived(name: str | None) -> None:
                names.append(name)
                if name == "z":
                    heard.set()

            made.watcher.watch_directory(tmp_path, arrived)
            for source, target in ((".a", ".b"), (".c", "c"), (".z", "z")):
                (tmp_path / source).touch()
                (tmp_path / source).rename(tmp_path / target)
            (tmp_path / "plain").touch()
            await heard.wait()
        assert names == ["c", "z"]

    asyncio.run(main())


def test_a_directory_that_is_removed_asks_for_a_look(tmp_path: Path) -> None:
    """A watched directory that is gone asks for a look at everything, and closing its watch is harmless."""

    async def main() -> None:
        path = tmp_path / "exits"
        path.mkdir()
        async with rig() as made:
            told: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            watch = made.watcher.watch_directory(path, told.set_result)
            path.rmdir()
            assert await told is None
            watch.close()
            path.mkdir()
            again = made.watcher.watch_directory(path, lambda _: None)
            path.rmdir()
            # The kernel has dropped this one, and the loop has not yet been told.
            again.close()

    asyncio.run(main())


def test_overflow_rings_every_bell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After more events than the queue holds, a file written only when it was full rings, and so does a directory."""
    for name in ("a", "b", "late"):
        (tmp_path / name).touch()
    exits = tmp_path / "exits"
    exits.mkdir()

    async def main() -> None:
        async with rig() as made:
            heard = {name: asyncio.Event() for name in ("a", "b", "late")}
            for name, bell in heard.items():
                made.watcher.watch_file(tmp_path / name, bell.set)
            names: list[str | None] = []
            told = asyncio.Event()
            made.watcher.watch_directory(exits, names.append)
            made.watcher.watch_directory(exits, lambda _: told.set())
            paths = [str(tmp_path / name) for name in ("late", "a", "b")]
            # Blocks the loop on purpose: nobody empties the queue meanwhile.
            subprocess.run(  # noqa: ASYNC221
                [sys.executable, "-c", _APPEND, paths[0], str(queue_length()), *paths[1:]],
                check=True,
                timeout=60,
            )
            for bell in heard.values():
                await bell.wait()
            await told.wait()
            assert set(names) == {None}

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "overflowed" in caplog.text


def test_use_before_open_and_of_a_missing_path_are_errors_of_ours(tmp_path: Path) -> None:
    """A watcher that is not open, one opened twice, and a path that is missing raise Internal, naming the thing."""

    async def main() -> None:
        async with rig() as made:
            with pytest.raises(Internal, match="open already"):
                made.watcher.open()
            with pytest.raises(Internal, match="none can't be watched: No such file"):
                made.watcher.watch_file(tmp_path / "none", lambda: None)
            made.watcher.close()
            made.watcher.close()
            with pytest.raises(Internal, match="not open"):
                made.watcher.watch_file(tmp_path, lambda: None)

    asyncio.run(main())


_LIMITED = """
import asyncio, os, sys
from pathlib import Path
from jsched.errors import ResourceExhausted
from jsched.output.watcher import Watcher

async def main():
    try:
        if sys.argv[1] == "descriptors":
            import resource
            watcher = Watcher()
            warm = Watcher(); warm.open(); warm.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), 64))
            held = []
            try:
                while True:
                    held.append(os.dup(0))
            except OSError:
                pass
            watcher.open()
        elif sys.argv[1] == "instances":
            Path("/proc/sys/user/max_inotify_instances").write_text("2")
            watchers = [Watcher() for _ in range(3)]
            for watcher in watchers:
                watcher.open()
        else:
            Path("/proc/sys/user/max_inotify_watches").write_text("2")
            watcher = Watcher()
            watcher.open()
            for name in "abc":
                path = Path(sys.argv[2]) / name
                path.touch()
                watcher.watch_file(path, print)
    except ResourceExhausted as error:
        print(error.obj)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        ("descriptors", "RLIMIT_NOFILE"),
        ("instances", "fs.inotify.max_user_instances"),
        ("watches", "fs.inotify.max_user_watches"),
    ],
)
def test_a_limit_that_is_reached_is_named(what: str, limit: str, tmp_path: Path) -> None:
    """Each limit, really reached (in a user namespace of its own), is ResourceExhausted naming that limit."""
    command = [sys.executable, "-c", _LIMITED, what, str(tmp_path)]
    if what != "descriptors":
        prefix = ["unshare", "--user", "--map-root-user"]
        if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
            pytest.skip("user namespaces are not allowed here")
        command = prefix + command
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{limit}\n", "")
