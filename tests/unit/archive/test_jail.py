from __future__ import annotations

import os
import signal
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from jsched.archive.jail import has_all_ids
from jsched.archive.tar import NOBODY
from jsched.archive.unpacking import Unpacking
from jsched.errors import Internal, JschedError, ResourceExhausted, Unavailable
from jsched.linux import process
from tests.helpers.wait import wait_until
from tests.unit.archive.conftest import LIMITS

NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
CHOWN_AND_FOWNER = 1 << 0 | 1 << 3
needs_root = pytest.mark.skipif(not has_all_ids(), reason="walls of root's")


class Running(NamedTuple):
    """An unpacking that takes its time, in a thread, with its two processes."""

    unpacking: Unpacking
    thread: threading.Thread
    errors: list[JschedError]
    keeper: int
    prisoner: int
    tree: Path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """An archive that is being unpacked, its prisoner behind the walls and at work."""
    (tmp_path / "archive").write_bytes(tarfile.TarInfo("f").tobuf() * 400_000)
    (tmp_path / "tree").mkdir(mode=0o700)
    archive = (tmp_path / "archive").open("rb")
    unpacking = Unpacking(archive.fileno(), tmp_path / "tree", LIMITS._replace(entries=10**6))
    errors: list[JschedError] = []

    def run() -> None:
        if has_all_ids():
            # As a server of root's has: a nice value is a thread's own, and of what that starts.
            os.setpriority(os.PRIO_PROCESS, 0, -10)
        try:
            unpacking.run()
        except JschedError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield wait_until(lambda: _at_work(unpacking, thread, errors, tmp_path / "tree"), 20, "the prisoner at work")
    finally:
        unpacking.cancel()
        thread.join(20)
        archive.close()
        assert not thread.is_alive()


def _at_work(unpacking: Unpacking, thread: threading.Thread, errors: list[JschedError], tree: Path) -> Running | None:
    assert thread.is_alive(), f"it has ended: {errors}"
    started = unpacking._process
    if started is None or not (tree / "f").exists():
        return None
    children = process.children(started.pid)
    return Running(unpacking, thread, errors, started.pid, children[0], tree) if children else None


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@needs_root
def test_the_prisoner_has_no_privileges(running: Running) -> None:
    """It is nobody, in no group, can gain nothing by exec, and has no capability but those to give files away."""
    found = status(running.prisoner)
    assert found["Uid"].split() == found["Gid"].split() == [str(NOBODY)] * 4
    assert found["Groups"] == ""
    assert found["NoNewPrivs"] == "1"
    # SECCOMP_MODE_FILTER, seccomp(2).
    assert found["Seccomp"] == "2"
    for name in ("CapPrm", "CapEff"):
        assert int(found[name], 16) == CHOWN_AND_FOWNER
    for name in ("CapInh", "CapBnd", "CapAmb"):
        assert int(found[name], 16) == 0


@needs_root
def test_the_prisoner_has_namespaces_of_its_own(running: Running) -> None:
    """Of nothing that has namespaces does it share the host's, and the capabilities are of its own user namespace."""
    for name in NAMESPACES:
        assert os.readlink(f"/proc/{running.prisoner}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"), name
    assert status(running.prisoner)["NSpid"].split()[-1] == "1"
    network = Path(f"/proc/{running.prisoner}/net/dev").read_text()
    assert {line.split(":")[0].strip() for line in network.splitlines()[2:]} <= {"lo"}


@needs_root
def test_the_prisoner_sees_the_tree_and_nothing_else(running: Running) -> None:
    """Its root is the tree, the one mount that it has, with nosuid, nodev and noexec."""
    root = os.stat(f"/proc/{running.prisoner}/root/")
    assert (root.st_dev, root.st_ino) == (running.tree.stat().st_dev, running.tree.stat().st_ino)
    mounts = Path(f"/proc/{running.prisoner}/mountinfo").read_text().splitlines()
    assert len(mounts) == 1
    assert {"nosuid", "nodev", "noexec"} <= set(mounts[0].split()[5].split(","))


def test_the_prisoner_has_no_descriptor_too_many(running: Running) -> None:
    """Open are the archive to read, a pipe each way, the tree and what it makes there, and /dev/null for stdio."""
    links = {fd: os.readlink(f"/proc/{running.prisoner}/fd/{fd}") for fd in range(7)}
    assert {links[0], links[1], links[2]} == {"/dev/null"}
    assert links[4] == str(running.tree.parent / "archive")
    assert links[3].startswith("pipe:")
    assert links[6].startswith("pipe:")
    assert os.path.samestat(os.stat(f"/proc/{running.prisoner}/fd/5"), running.tree.stat())
    others = {fd for fd in os.listdir(f"/proc/{running.prisoner}/fd") if int(fd) > 6}
    assert len(others) <= 2
    flags = Path(f"/proc/{running.prisoner}/fdinfo/4").read_text().split("flags:")[1].split()[0]
    assert int(flags, 8) & os.O_ACCMODE == os.O_RDONLY


def test_the_prisoner_has_limits(running: Running) -> None:
    """Memory, processes, descriptors, time and the size of files are limited, and a core dump is nobody's."""
    lines = Path(f"/proc/{running.prisoner}/limits").read_text().splitlines()[1:]
    found = {line[:25].strip(): line[25:].split()[:2] for line in lines}
    assert found["Max processes"] == ["0", "0"]
    assert found["Max core file size"] == ["1", "1"]
    assert found["Max cpu time"] == [str(LIMITS.seconds)] * 2
    assert found["Max file size"] == [str(LIMITS.size)] * 2
    assert LIMITS.memory < int(found["Max address space"][0]) < LIMITS.memory + 2**30


def test_the_prisoner_does_not_come_before_jobs(running: Running) -> None:
    """Neither it nor its keeper has the priority of the server that has started them."""
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in (running.keeper, running.prisoner)] == [0, 0]


def test_cancelling_ends_both_processes(running: Running) -> None:
    """A cancelled unpacking raises Unavailable, and its processes are gone when it does."""
    running.unpacking.cancel()
    running.thread.join(30)
    assert [type(error) for error in running.errors] == [Unavailable]
    assert not os.path.exists(f"/proc/{running.prisoner}")
    assert not os.path.exists(f"/proc/{running.keeper}")


def test_without_its_keeper_the_prisoner_ends(running: Running) -> None:
    """A keeper that is killed takes its prisoner with it, and the unpacking fails."""
    os.kill(running.keeper, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{running.prisoner}"), 30, "the prisoner's end")
    running.thread.join(30)
    assert [type(error) for error in running.errors] == [Internal]


def test_without_its_server_the_keeper_ends(running: Running) -> None:
    """The keeper gives up when nobody holds the other end of its stdin any more, as when the server is killed."""
    started = running.unpacking._process
    assert started is not None
    assert started.stdin is not None
    started.stdin.close()
    wait_until(lambda: not os.path.exists(f"/proc/{running.prisoner}"), 30, "the prisoner's end")
    running.thread.join(30)
    assert not running.thread.is_alive()


def test_a_prisoner_that_is_killed_is_a_failure(running: Running) -> None:
    """What kills it from outside is no reason to refuse the archive, and not taken for success."""
    os.kill(running.prisoner, signal.SIGKILL)
    running.thread.join(30)
    assert [type(error) for error in running.errors] == [Internal]
    assert not isinstance(running.errors[0], ResourceExhausted)
