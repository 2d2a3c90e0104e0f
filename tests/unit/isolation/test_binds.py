"""What is bound into a job's view of the host, and what is hidden from it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import pytest

from jsched.isolation import sandbox as sandboxes
from jsched.isolation.sandbox import Bind
from jsched.isolation.view import resolver_binds
from tests.helpers import walled
from tests.helpers.walled import REPOSITORY, make_sandbox, needs_root

pytestmark = needs_root

OWNER = 4_321


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory of the host that belongs to an ordinary user, and that nobody else may write to."""
    with walled.open_directory() as directory:
        os.chown(directory, OWNER, OWNER)
        yield directory


def run(script: str, tmp_path: Path, **fields: object) -> walled.Outcome:
    return walled.run(make_sandbox(**fields), ["/bin/sh", "-c", script], log=tmp_path / "log")


def test_what_a_job_makes_belongs_to_the_owner_of_the_directory(shared: Path, tmp_path: Path) -> None:
    """In a writable bind the job acts as the directory's owner, inside as itself and on the host as that owner."""
    outcome = run("touch /mnt/made; ls -ln /mnt", tmp_path, binds=(Bind(str(shared), "/mnt", writable=True),))
    assert outcome.output.split()[4:6] == [str(walled.USER)] * 2
    status = (shared / "made").stat()
    assert (status.st_uid, status.st_gid) == (OWNER, OWNER)


@pytest.mark.parametrize(("owner", "group"), [(0, OWNER), (OWNER, 0), (0, 0)])
def test_a_directory_of_root_stays_roots(shared: Path, tmp_path: Path, owner: int, group: int) -> None:
    """A job never acts as root of the host or in root's group, also not where it may write."""
    os.chown(shared, owner, group)
    outcome = run("touch /mnt/made", tmp_path, binds=(Bind(str(shared), "/mnt", writable=True),))
    assert outcome.exit_code == 1
    assert list(shared.iterdir()) == []


def test_a_bind_is_read_only_unless_asked(shared: Path, tmp_path: Path) -> None:
    """Without being asked for, nothing can be written."""
    shared.chmod(0o777)
    outcome = run("touch /mnt/made", tmp_path, binds=(Bind(str(shared), "/mnt"),))
    assert "Read-only file system" in outcome.output


def test_setuid_programs_and_devices_mean_nothing(shared: Path, tmp_path: Path) -> None:
    """Neither is honoured in what was bound."""
    program = shared / "id"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    program.chmod(0o6755)
    os.mknod(shared / "null", 0o20666, os.makedev(1, 3))
    outcome = run("/mnt/id -u; cat /mnt/null", tmp_path, binds=(Bind(str(shared), "/mnt"),))
    assert outcome.output.startswith(f"{walled.USER}\n")
    assert "Permission denied" in outcome.output


def test_a_bind_inside_something_hidden(shared: Path, tmp_path: Path) -> None:
    """One directory of a hidden one can be given back, and its neighbours stay hidden."""
    (shared / "file").write_text("here\n")
    (shared / "file").chmod(0o644)
    place = "/home/somebody/data"
    binds = (Bind(str(shared), place), Bind(f"{shared}/file", "/home/one"))
    outcome = run(f"cat {place}/file /home/one; ls /home; ls /home/somebody", tmp_path, binds=binds)
    assert outcome.output.split() == ["here", "here", "one", "somebody", "data"]


def test_hidden_directories_are_empty(shared: Path, tmp_path: Path) -> None:
    """A directory that was readable is empty behind the walls, and can't be uncovered."""
    (shared / "secret").write_text("secret")
    shared.chmod(0o755)
    # /var/tmp is private, so the directory is looked at through a bind of what it lies in.
    script = "ls -A /usr/share/doc | wc -l; umount /usr/share/doc 2>&1"
    outcome = run(script, tmp_path, hidden=("/usr/share/doc",))
    assert outcome.output.startswith("0\n")
    assert outcome.exit_code != 0


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="no file systems in user space")
def test_a_hidden_directory_that_is_a_users_own_file_system(tmp_path: Path) -> None:
    """What a user mounts on a home is covered without a question to it: nobody has to answer, or may ask."""
    with TemporaryDirectory(prefix="jsched-", dir="/srv") as home, open("/dev/fuse", "r+b", buffering=0) as fuse:
        options = f"fd={fuse.fileno()},rootmode=40000,user_id={OWNER},group_id={OWNER}"
        command = ["mount", "-i", "-t", "fuse", "-o", options, "none", home]
        subprocess.run(command, pass_fds=[fuse.fileno()], check=True)
        try:
            outcome = run(f"ls -A {home} && echo empty", tmp_path, hidden=(home,))
        finally:
            subprocess.run(["umount", "-l", home], check=True)
        assert outcome.output == "empty\n"


@pytest.mark.parametrize("spare", [False, True])
def test_the_kernel_is_hidden_in_other_places(tmp_path: Path, spare: bool) -> None:
    """Where a chroot of the host has its /proc, /sys and /dev a job sees nothing, and other mounts as they are."""
    with TemporaryDirectory(prefix="jsched-", dir="/srv") as chroot:
        os.chmod(chroot, 0o755)
        names = ("proc", "sys", "dev", "deep/proc", "shm", "data", "shut/proc")
        for name in names:
            Path(chroot, name).mkdir(parents=True)
        Path(chroot, "shut").chmod(0o700)
        mounted = [
            *(("--bind", "/proc", "proc"), ("-t", "sysfs", "sysfs", "sys"), ("--rbind", "/dev", "dev")),
            *(("-t", "proc", "proc", "deep/proc"), ("--bind", "/dev/shm", "shm"), ("-t", "tmpfs", "tmpfs", "data")),
            ("-t", "proc", "proc", "shut/proc"),
        ]
        try:
            for *options, name in mounted:
                subprocess.run(["mount", *options, f"{chroot}/{name}"], check=True)
            Path(chroot, "data/file").touch()
            script = f"cd {chroot}; for each in {' '.join(names[:-1])}; do ls -A $each | wc -l; done; ls shm/.. data"
            with NamedTemporaryFile(dir="/dev/shm"):
                argv = ["/bin/sh", "-c", script]
                outcome = walled.run(make_sandbox(), argv, log=tmp_path / "log", spare=spare)
        finally:
            for name in reversed(names):
                subprocess.run(["umount", "-l", f"{chroot}/{name}"], check=False)
        assert outcome.output.split()[:6] == ["0", "0", "0", "0", "0", "1"]
        assert outcome.output.endswith("data:\nfile\n\nshm/..:\ndata\ndeep\ndev\nproc\nshm\nshut\nsys\n")


def test_what_is_hidden_may_be_missing(tmp_path: Path) -> None:
    """A directory that is not there needs no cover."""
    assert run("true", tmp_path, hidden=("/nowhere/at/all",)).exit_code == 0


def test_the_hosts_network(tmp_path: Path) -> None:
    """With the host's network the job sees the host's interfaces, and can do nothing to them."""
    outcome = run("ls /proc/self/net/dev && cat /proc/net/dev; ip link set lo down", tmp_path, network="host")
    names = {name for _, name in socket.if_nameindex()}
    assert all(f"{name}:" in outcome.output for name in names)
    assert outcome.exit_code != 0


def test_names_are_resolved_through_a_file_in_run(tmp_path: Path) -> None:
    """Where the resolver's configuration is a link into /run, that one file is bound."""
    with TemporaryDirectory(prefix="jsched-test-", dir="/run") as directory:
        target = Path(directory)
        (target / "stub.conf").write_text("nameserver 127.0.0.53\n")
        (tmp_path / "resolv.conf").symlink_to(target / "stub.conf")
        binds = resolver_binds(sandboxes.HOST, tmp_path / "resolv.conf")
        outcome = run(f"cat {target}/stub.conf; ls /run", tmp_path, network="host", binds=binds)
        assert outcome.output == f"nameserver 127.0.0.53\n{target.name}\n"
        assert resolver_binds(sandboxes.NONE, tmp_path / "resolv.conf") == ()


def test_a_tree_is_copied_where_there_is_no_overlayfs(tmp_path: Path) -> None:
    """Where the kernel refuses an overlay, the job gets a copy: writable, its own, with the same owners."""
    with walled.open_directory() as tree:
        (tree / "etc").mkdir()
        (tree / "etc/release").write_text("a tree\n")
        code = (
            "import errno, sys\n"
            "from jsched.isolation import layers\n"
            "def refuse(site): raise OSError(errno.ENODEV, 'overlay')\n"
            "layers._overlay = refuse\n"
            "import os\n"
            "from jsched.isolation import init\n"
            "def look(launch, site):\n"
            "    with open('/etc/release') as file: os.write(1, file.read().encode())\n"
            "    os.write(1, repr((os.stat('/etc').st_mode & 0o777, sorted(os.listdir('/')))).encode())\n"
            "    os._exit(0)\n"
            "init.Launch.execute = look\n"
            "from tests.helpers import walled_monitor\n"
            "walled_monitor.main(int(sys.argv[1]))\n"
        )
        sandbox = make_sandbox(mode=sandboxes.ROOTFS, rootfs=str(tree), hidden=())
        log = tmp_path / "log"
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-c", code, str(output.fileno())],
                input=json.dumps([sandbox, [["x"], {}, "/"], False]),
                cwd=REPOSITORY,
                pass_fds=(output.fileno(),),
                text=True,
                capture_output=True,
                timeout=60,
            )
        assert done.returncode == 0, done.stderr
        assert log.read_text() == f"a tree\n({0o755}, ['dev', 'etc', 'proc', 'sys', 'tmp'])"
