"""Unpacking with fewer walls: as an ordinary user, and as root where the kernel gives no namespaces.

The ordinary user is root of a user namespace with one id; the other one has all ids, but not CAP_SYS_ADMIN.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.archive.jail import has_all_ids
from tests.helpers.archives import member, symlink, tar
from tests.helpers.trees import names

UNSHARE = ["unshare", "--user", "--map-root-user", "--kill-child"]
PROGRAM = """
import sys
from pathlib import Path
from jsched.archive.refusal import Limits
from jsched.archive.unpacking import Unpacking
from jsched.errors import JschedError
with open(sys.argv[1], "rb") as archive:
    try:
        print(Unpacking(archive.fileno(), Path(sys.argv[2]), Limits(2**20, 100, 30)).run())
    except JschedError as error:
        print("refused:", error.message)
"""
pytestmark = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode != 0,
    reason="user namespaces",
)


def unpack(tmp_path: Path, archive: bytes, *, namespaces: bool = True) -> str:
    """Unpack as somebody who can give files to nobody, and may or may not make user namespaces."""
    (tmp_path / "archive").write_bytes(archive)
    (tmp_path / "tree").mkdir(mode=0o700)
    forbid = "" if namespaces else "echo 0 >/proc/sys/user/max_user_namespaces && "
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "archive"), str(tmp_path / "tree")]
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", f'{forbid}exec "$@"', "sh", *command],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("namespaces", [True, False])
def test_everything_belongs_to_that_user(tmp_path: Path, namespaces: bool) -> None:
    """The tree is what it is for root, but for its owners: with user namespaces and without, which is told."""
    archive = tar(
        member("./", mode=0o555),
        member("f", b"x", uid=1000, gid=33, mode=0o4755),
        member("shut/", mode=0),
        member("shut/in", b"x", uid=1000),
        symlink("link", "/f"),
    )
    missing = "()" if namespaces else "('user namespace', 'PID namespace', 'mount namespace')"
    answer = unpack(tmp_path, archive, namespaces=namespaces)
    assert answer == f"Unpacked(size=2, entries=5, missing_walls={missing})"
    tree = tmp_path / "tree"
    assert names(tree) == {"f", "shut", "shut/in", "link"}
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in tree.rglob("*")} == {(os.getuid(), os.getgid())}
    assert stat.S_IMODE((tree / "f").stat().st_mode) == 0o755
    assert stat.S_IMODE((tree / "shut").stat().st_mode) == 0


CONTAINER = """
import os, sys
from jsched.archive.jail import map_ids
from jsched.linux.namespaces import CLONE_NEWUSER, unshare
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    unshare(CLONE_NEWUSER)
    os.write(ready[1], b"r")
    os.read(go[0], 1)
    with open("/proc/sys/user/max_user_namespaces", "w") as most:
        most.write("0")
    os.execvp("setpriv", ["setpriv", "--bounding-set=-sys_admin", *sys.argv[1:]])
os.read(ready[0], 1)
map_ids(pid)
os.write(go[1], b"g")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(not has_all_ids() or shutil.which("setpriv") is None, reason="root with all ids, and setpriv")
def test_root_of_a_container_uses_chroot(tmp_path: Path) -> None:
    """Without any namespace root still gives files their owners, from a root directory that is the tree."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "archive"), str(tmp_path / "tree")]
    (tmp_path / "archive").write_bytes(tar(member("f", b"x", uid=1000, gid=33), symlink("way", "/tmp")))
    (tmp_path / "tree").mkdir(mode=0o700)
    done = subprocess.run(
        [sys.executable, "-c", CONTAINER, *command],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    missing = "('user namespace', 'PID namespace', 'mount namespace')"
    assert done.stdout == f"Unpacked(size=1, entries=2, missing_walls={missing})\n"
    assert ((tmp_path / "tree/f").stat().st_uid, (tmp_path / "tree/f").stat().st_gid) == (1000, 33)


@pytest.mark.parametrize("namespaces", [True, False])
def test_what_leads_out_is_refused_all_the_same(tmp_path: Path, namespaces: bool) -> None:
    """The policy does not depend on which walls there are."""
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = tar(symlink("way", str(outside)), member("way/file", b"x"))
    answer = unpack(tmp_path, archive, namespaces=namespaces)
    assert answer == "refused: the archive is refused: member 2 'way/file': its path leads through a symbolic link"
    assert not list(outside.iterdir())
