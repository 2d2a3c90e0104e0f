"""The rootfs mode: a tree that becomes the root directory, is written over, and is never changed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.isolation.sandbox import ROOTFS, Bind, Sandbox
from jsched.linux import privileges
from tests.helpers import walled
from tests.helpers.walled import make_sandbox, needs_root

pytestmark = needs_root

PROGRAMS = ("sh", "cat", "ls", "touch", "mkdir", "chown", "id", "rm", "dd")


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    """A small root file system of the host's own programs, in a directory that only root may enter."""
    with walled.open_directory() as directory:
        directory.chmod(0o700)
        root = directory / "tree"
        (root / "etc").mkdir(parents=True)
        (root / "etc/release").write_text("a tree\n")
        (root / "home/user").mkdir(parents=True)
        os.chown(root / "home/user", walled.USER, walled.USER)
        for name in PROGRAMS:
            program = shutil.which(name, path="/usr/bin:/bin")
            if program is None:
                pytest.skip(f"no {name}")
            _copy(root, program, f"/bin/{name}")
        yield root


def _copy(root: Path, program: str, target: str) -> None:
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in linked.split() if word.startswith("/")]
    for source, place in [(program, target), *((library, library) for library in libraries)]:
        copy = root / place.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)


def rootfs(tree: Path, **fields: object) -> Sandbox:
    return make_sandbox(mode=ROOTFS, rootfs=str(tree), hidden=(), **fields)


def run(tree: Path, script: str, tmp_path: Path, **fields: object) -> walled.Outcome:
    return walled.run(rootfs(tree, **fields), ["/bin/sh", "-c", script], log=tmp_path / "log")


def _content(tree: Path) -> dict[str, tuple[int, int, int]]:
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_uid) for path in tree.rglob("*")
    }


def test_the_tree_is_the_root(tree: Path, tmp_path: Path) -> None:
    """The job sees the tree and what was mounted for it, and nothing of the host; the list of mounts tells no path."""
    outcome = run(tree, "ls /; cat /etc/release /proc/self/mountinfo; ls /sys /tmp", tmp_path)
    top, _, rest = outcome.output.partition("a tree\n")
    assert set(top.split()) >= {"bin", "dev", "etc", "home", "proc", "sys", "tmp"}
    assert not set(top.split()) & {"root", "boot", "opt", "var", "work"}
    assert str(tree) not in rest and tree.parent.name not in rest
    assert outcome.exit_code == 0


def test_owners_are_those_of_the_tree(tree: Path, tmp_path: Path) -> None:
    """What belongs to root in the tree belongs to root inside, and a user's home to that user."""
    outcome = run(tree, "cd /home/user && touch mine && ls -ldnU /etc . mine; touch /etc/x", tmp_path)
    owners = [line.split()[2] for line in outcome.output.splitlines()[:3]]
    assert owners == ["0", str(walled.USER), str(walled.USER)]
    assert outcome.exit_code == 1


def test_what_is_written_is_gone_afterwards(tree: Path, tmp_path: Path) -> None:
    """Root inside changes, removes and makes files; the next job finds the tree as it was, and so does the host."""
    before = _content(tree)
    script = "echo changed > /etc/release; rm /bin/ls; mkdir /var; touch /var/new; cat /etc/release"
    fields = {"uid": 0, "gid": 0, "capabilities": 1 << privileges.CAP_DAC_OVERRIDE}
    assert run(tree, script, tmp_path, **fields).output == "changed\n"
    assert run(tree, "cat /etc/release; ls /", tmp_path).output.startswith("a tree\n")
    assert _content(tree) == before


def test_root_inside_has_the_capabilities_that_were_asked_for(tree: Path, tmp_path: Path) -> None:
    """User 0 of the namespace keeps what it was given, also through exec, and can't gain more."""
    kept = 1 << privileges.CAP_CHOWN | 1 << privileges.CAP_DAC_OVERRIDE
    script = "touch /tmp/f && chown 5:5 /tmp/f && ls -ln /tmp/f; cat /proc/self/status"
    outcome = run(tree, script, tmp_path, uid=0, gid=0, capabilities=kept)
    assert outcome.output.split()[2:4] == ["5", "5"]
    sets = dict(line.split(":\t") for line in outcome.output.splitlines() if line.startswith("Cap"))
    assert {name: int(value, 16) for name, value in sets.items()} == {
        "CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": kept, "CapAmb": 0
    }  # fmt: skip


def test_root_inside_without_capabilities_has_none(tree: Path, tmp_path: Path) -> None:
    """User 0 of the namespace is nothing special unless it was given capabilities."""
    outcome = run(tree, "id -u; chown 5:5 /etc/release || cat /proc/self/status", tmp_path, uid=0, gid=0)
    assert outcome.output.startswith("0\n")
    assert all(int(line.split()[1], 16) == 0 for line in outcome.output.splitlines() if line.startswith("Cap"))


def test_the_space_for_changes_is_limited(tree: Path, tmp_path: Path) -> None:
    """Writing more than the limit fails with ENOSPC, in a home directory and in /tmp."""
    for place in ("/home/user", "/tmp"):
        script = f"dd if=/dev/zero of={place}/big bs=1M count=16 2>&1"
        outcome = run(tree, script, tmp_path, scratch_size=8 << 20)
        assert "No space left" in outcome.output
        assert outcome.exit_code == 1


@pytest.mark.parametrize("name", ["proc", "dev", "tmp", "sys"])
@pytest.mark.parametrize("target", ["/etc", "../../../../../../etc", "etc"])
def test_a_symbolic_link_where_something_is_mounted_is_refused(
    tree: Path, tmp_path: Path, name: str, target: str
) -> None:
    """A tree with a link in the place of /proc, /dev, /tmp or /sys is refused: a mount would follow it."""
    hostile = tree.parent / "hostile"
    shutil.copytree(tree, hostile, symlinks=True)
    try:
        (hostile / name).symlink_to(target)
        reports = run(hostile, "echo out", tmp_path).reports
        assert (reports.started, reports.errno) == (False, errno.ELOOP)
    finally:
        shutil.rmtree(hostile)


def test_a_link_on_the_way_to_the_tree_is_refused(tree: Path, tmp_path: Path) -> None:
    """The tree is taken by a path without symbolic links, or not at all."""
    link = tree.parent / "link"
    link.symlink_to(tree)
    reports = run(link, "true", tmp_path).reports
    assert (reports.failed_step, reports.errno) == ("sources", errno.ELOOP)


def test_directories_of_the_host_are_bound(tree: Path, tmp_path: Path) -> None:
    """Binds appear where they were asked for, in directories made for them; read-only ones can't be written."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    (tmp_path / "data/file").write_text("of the host\n")
    source = str((tmp_path / "data").resolve())
    binds = (Bind(source, "/mnt/in/data"), Bind(source, "/srv", writable=True), Bind(f"{source}/file", "/etc/one"))
    script = "cat /mnt/in/data/file /etc/one; echo new > /srv/made; touch /mnt/in/data/no"
    outcome = run(tree, script, tmp_path, binds=binds)
    assert outcome.output.startswith("of the host\n" * 2)
    assert "Read-only file system" in outcome.output
    assert (tmp_path / "data/made").read_text() == "new\n"


def test_a_bind_does_not_follow_links_of_the_tree(tree: Path, tmp_path: Path) -> None:
    """A link in the tree on the way to a bind's target is refused."""
    (tree / "home/link").symlink_to("/etc")
    try:
        reports = run(tree, "true", tmp_path, binds=(Bind("/usr/share", "/home/link/x"),)).reports
        assert (reports.failed_step, reports.errno) == ("bind:0", errno.ELOOP)
    finally:
        (tree / "home/link").unlink()


def test_without_a_user_namespace(tree: Path, tmp_path: Path) -> None:
    """Where there are no user namespaces the tree is used as it is, by a user of the host that owns nothing."""
    outcome = run(tree, "id -u; touch /etc/x", tmp_path, uid=310_000, gid=310_000, uid_map=(), gid_map=())
    assert outcome.output.startswith("310000\n")
    assert outcome.exit_code == 1


def test_an_ordinary_user_as_root_inside(tree: Path) -> None:
    """An ordinary user may be root inside its own namespace, and owns there what it owns outside."""
    tree.parent.chmod(0o755)
    with walled.open_directory() as directory:
        sandbox = walled.for_ordinary_user(rootfs(tree))
        sandbox = sandbox._replace(
            uid=0,
            gid=0,
            uid_map=(sandbox.uid_map[0]._replace(inside=0),),
            gid_map=(sandbox.gid_map[0]._replace(inside=0),),
        )
        argv = ["/bin/sh", "-c", "echo more > /tmp/x; ls -ln /tmp/x; id -u"]
        outcome = walled.run(sandbox, argv, log=directory / "log", user=walled.ORDINARY_USER)
        assert outcome.output.split()[2:4] == ["0", "0"]
        assert outcome.exit_code == 0


def test_an_ordinary_user(tree: Path, tmp_path: Path) -> None:
    """A server that an ordinary user runs gives its jobs root file systems too."""
    tree.parent.chmod(0o755)
    with walled.open_directory() as directory:
        sandbox = walled.for_ordinary_user(rootfs(tree))
        argv = ["/bin/sh", "-c", "echo more > /tmp/x; cat /etc/release; id -u"]
        outcome = walled.run(sandbox, argv, log=directory / "log", user=walled.ORDINARY_USER)
        assert (outcome.output, outcome.exit_code) == (f"a tree\n{walled.ORDINARY_USER}\n", 0)
