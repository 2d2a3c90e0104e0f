"""The runner itself: the guest is the machine that the suite needs, and ends as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import fetch, image
from tests.vm.guest import Guest, GuestDied, GuestTimeout
from tests.vm.image import CannotHaveGuest
from tests.vm.initramfs import archive
from tests.vm.modules import in_loading_order
from tests.vm.qemu import QEMU
from tests.vm.suite import ROOT
from tests.vm.uml import UML

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    """After a run neither the guest's files nor its processes are there."""
    yield
    assert _traces() == set()


def _traces() -> set[str]:
    mark = f"jsched-vm-{os.getpid()}-"
    shm = {str(path) for path in Path("/dev/shm").glob(f"{mark}*")}
    commands = {path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if mark.encode() in _read(path)}
    return shm | commands


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _run(guest: Guest, *command: str) -> tuple[int, bytes]:
    printed = bytearray()
    try:
        status = guest.run(command, Path.cwd(), printed.extend)
    except CannotHaveGuest as error:
        pytest.skip(f"no guest with cgroup v2, for want of {error}")
    return status, bytes(printed)


def test_it_is_a_machine_with_cgroup_v2_and_a_disk() -> None:
    """A command runs as root, here, with v2 controllers, loopback and an ext4 TMPDIR; its status comes out."""
    script = (
        "id -u; pwd; cat /sys/fs/cgroup/cgroup.subtree_control; "
        "stat -f -c %T $TMPDIR; cat /sys/class/net/lo/flags; echo $JSCHED_VM; exit 7"
    )
    status, text = _run(Guest(), "sh", "-c", script)
    assert status == 7
    uid, directory, controllers, file_system, flags, mark = text.decode().splitlines()
    assert (uid, directory, file_system, mark) == ("0", os.getcwd(), "ext2/ext3", "uml")
    assert {"cpu", "io", "memory", "pids"} <= set(controllers.split())
    assert int(flags, 16) & 1


def test_nothing_is_written_on_this_machine(tmp_path: Path) -> None:
    """The guest sees this machine's files; what it writes to them is not there afterwards, however it tries."""
    file = tmp_path / "file"
    file.write_text("before")
    again = f"mkdir /again && mount -t hostfs -o {tmp_path} none /again && echo after >/again/file"
    status, text = _run(Guest(), "sh", "-c", f"cat {file} && echo after >{file} && cat {file}; ({again}) 2>&1")
    assert text.startswith(b"beforeafter\n")
    assert status != 0
    assert b"Read-only file system" in text
    assert file.read_text() == "before"


def test_more_files_can_be_read_than_this_machine_lets_be_open(tmp_path: Path) -> None:
    """A program that reads thousands of files in the guest works where the host's limit is 8,000 open ones."""
    if image.cached(UML.name) is None:
        pytest.skip("no guest with cgroup v2: python -m tests.vm --fetch")
    for number in range(12_000):
        (tmp_path / str(number)).touch()
    limited = 'ulimit -n 8000 && exec "$@"'
    guest = ["sh", "-c", limited, "sh", sys.executable, "-m", "tests.vm", "--"]
    read_all = ["sh", "-c", f"grep -r nothing {tmp_path}; ls {tmp_path} | wc -l"]
    done = subprocess.run([*guest, *read_all], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (0, "12000\n", "")


def test_output_comes_byte_by_byte_and_whole() -> None:
    """All bytes come out as they were written, and arguments go in as they are."""
    script = "import os, sys; os.write(1, bytes(range(256)) * 1000 + sys.argv[1].encode())"
    status, printed = _run(Guest(), sys.executable, "-c", script, "a  'b' $c")
    assert status == 0
    assert printed == bytes(range(256)) * 1000 + b"a  'b' $c"


def test_a_command_that_does_not_end_is_ended() -> None:
    """At the time limit the guest is killed, with all its processes."""
    with pytest.raises(GuestTimeout):
        _run(Guest(timeout=5), "sleep", "1000")


def test_a_guest_that_dies_says_why() -> None:
    """A guest whose kernel panics is an error with the kernel's last words, not a status."""
    with pytest.raises(GuestDied, match="sysrq triggered crash"):
        _run(Guest(timeout=60), "sh", "-c", "echo c >/proc/sysrq-trigger; sleep 1000")


def test_qemu_has_the_rest() -> None:
    """The other back end is the same machine with more processors, pressure figures and cpusets."""
    if image.cached(QEMU.name) is None:
        pytest.skip("no qemu guest: python -m tests.vm -b qemu --fetch")
    script = (
        "nproc; test -e /proc/pressure/cpu; cat /sys/fs/cgroup/cgroup.subtree_control; stat -f -c %T $TMPDIR; exit 7"
    )
    status, text = _run(Guest(QEMU), "sh", "-ec", script)
    assert status == 7
    processors, controllers, file_system = text.decode().splitlines()
    assert (processors, file_system) == ("2", "ext2/ext3")
    assert {"cpu", "io", "memory", "pids", "cpuset"} <= set(controllers.split())


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    """A module comes once, after all that it needs; one without a file is taken to be in the kernel."""
    needs = {"veth": b"", "ext4": b"jbd2,mbcache", "jbd2": b"crc-x", "mbcache": b"", "crc_x": b""}
    for name, depends in needs.items():
        (tmp_path / f"{name}.ko").write_bytes(b"\0name=x\0depends=" + depends + b"\0")
    order = [path.stem for path in in_loading_order(tmp_path, ["ext4", "built_in", "jbd2"])]
    assert order == ["crc_x", "jbd2", "mbcache", "ext4"]


def test_a_machine_without_the_means_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without unshare, or without apt and nothing in the cache, the reason names the program."""
    monkeypatch.setenv("JSCHED_VM_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotHaveGuest, match=r"unshare|user-mode Linux"):
        fetch.get(UML)
    with pytest.raises(CannotHaveGuest, match="apt-get"):
        fetch.fetch(UML)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_is_what_cpio_reads() -> None:
    """An archive's lengths are padded to four bytes and its last entry is the trailer, cpio(5)."""
    made = archive({"bin": None, "bin/x": b"12345"})
    assert len(made) % 4 == 0
    assert made.count(b"070701") == 3
    assert b"12345" in made
    assert made.rstrip(b"\0").endswith(b"TRAILER!!!")
