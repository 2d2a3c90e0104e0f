"""Mounts by descriptor: attached where they should be, in a namespace of the test's own."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.linux import mount_api
from jsched.linux.mounts import file_system

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PRELUDE = """
import os, sys
from jsched.linux import mount_api as api
from jsched.linux.namespaces import CLONE_NEWNS, CLONE_NEWUSER, fork_into, unshare, write_id_maps
unshare(CLONE_NEWNS)
root = os.open('/', os.O_PATH)
api.mount_setattr(root, 0, recursive=True, propagation=api.MS_PRIVATE)

def place(path):
    return os.open(path, os.O_PATH)

def attempt(action, *arguments, **options):
    try:
        return action(*arguments, **options)
    except OSError as error:
        return type(error).__name__, str(error).split(': ')[0].split('] ')[1]
"""


def in_a_namespace(code: str) -> list[str]:
    """Run code in a mount namespace of its own, and return the lines that it prints."""
    done = subprocess.run([sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_root
def test_a_new_file_system_is_mounted_with_its_options() -> None:
    """A tmpfs has its size, its attributes, and its place."""
    code = """
mount = api.new_mount('tmpfs', api.MOUNT_ATTR_NOSUID | api.MOUNT_ATTR_NODEV, {'size': '1m', 'mode': '0711'})
api.move_mount(mount, place('/mnt'))
print(os.statvfs('/mnt').f_blocks * os.statvfs('/mnt').f_frsize, oct(os.stat('/mnt').st_mode))
print([line.split()[5] for line in open('/proc/self/mountinfo') if ' /mnt ' in line])
"""
    assert in_a_namespace(code) == ["1048576 0o40711", "['rw,nosuid,nodev,relatime']"]


@needs_root
def test_an_unattached_mount_goes_with_its_descriptor() -> None:
    """What was not attached is nowhere, and is gone when it is closed."""
    code = """
before = open('/proc/self/mountinfo').read()
mount = api.new_mount('tmpfs', 0)
tree = api.open_tree('/usr', recursive=True)
print(open('/proc/self/mountinfo').read() == before, os.get_inheritable(mount), os.get_inheritable(tree))
"""
    assert in_a_namespace(code) == ["True False False"]


@needs_root
def test_a_tree_is_bound_read_only() -> None:
    """A bound directory shows the same files, and writing to it is EROFS here alone."""
    code = """
mount = api.new_mount('tmpfs', 0)
api.move_mount(mount, place('/mnt'))
os.mkdir('/mnt/a')
tree = api.open_tree('a', at=mount)
api.mount_setattr(tree, api.MOUNT_ATTR_RDONLY)
os.mkdir('/mnt/b')
api.move_mount_to(tree, mount, 'b')
print(attempt(os.mkdir, '/mnt/b/c')[0])
os.mkdir('/mnt/a/c')
print(os.listdir('/mnt/b'))
"""
    assert in_a_namespace(code) == ["OSError", "['c']"]


@needs_root
def test_pivot_root_leaves_nothing_of_the_old_root() -> None:
    """After the pivot the new root is the only mount there is."""
    code = """
mount = api.new_mount('tmpfs', 0)
api.move_mount(mount, root)
os.mkdir('proc', dir_fd=mount)
os.mkdir('new', dir_fd=mount)
proc = api.new_mount('proc', 0)
api.move_mount_to(proc, mount, 'proc')
os.fchdir(mount)
api.pivot_root_here()
print(os.getcwd(), sorted(os.listdir('/')), [line.split()[4] for line in open('/proc/self/mountinfo')])
"""
    assert in_a_namespace(code) == ["/ ['new', 'proc'] ['/', '/proc']"]


@needs_root
@pytest.mark.parametrize("kind", ["tmpfs", "disk"])
def test_owners_are_shown_as_a_user_namespace_maps_them(tmp_path: Path, kind: str) -> None:
    """With an id-mapped mount, what user 0 owns on the disk is owned by the id that 0 is mapped to."""
    if kind == "tmpfs" and _kernel() < (6, 3):
        pytest.skip("Linux 6.3, whose tmpfs can be mounted with other owners")
    if kind == "disk" and file_system(tmp_path) not in ("ext4", "xfs"):
        pytest.skip("temporary files on ext4 or xfs, which can be mounted with other owners")
    code = """
import signal
mount = api.new_mount('tmpfs', 0)
api.move_mount(mount, place('/mnt'))
os.mkdir('/mnt/a')
pid = fork_into(CLONE_NEWUSER)
if pid == 0:
    signal.pause()
try:
    write_id_maps(pid, [(0, 5000, 10)], [(0, 6000, 10)])
    tree = api.open_tree(DIRECTORY)
    api.map_ids(tree, os.open(f'/proc/{pid}/ns/user', os.O_RDONLY))
finally:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
status = os.fstat(tree)
print(status.st_uid, status.st_gid)
"""
    directory = "/mnt/a" if kind == "tmpfs" else str(tmp_path)
    assert in_a_namespace(code.replace("DIRECTORY", repr(directory))) == ["5000 6000"]


def _kernel() -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))


@needs_root
def test_errors_name_the_call() -> None:
    """A failure is an OSError with the call's own name."""
    code = """
print(attempt(api.new_mount, 'no-such-fs', 0))
print(attempt(api.new_mount, 'tmpfs', 0, {'no-such-option': 'x'}))
print(attempt(api.open_tree, '/nowhere'))
print(attempt(api.pivot_root_here))
"""
    assert in_a_namespace(code) == [
        "('OSError', 'fsopen')",
        "('OSError', 'fsconfig')",
        "('FileNotFoundError', 'open_tree')",
        "('OSError', 'pivot_root')",
    ]


def test_a_bad_descriptor_is_ebadf() -> None:
    """No mount is made of a descriptor that is none."""
    with pytest.raises(OSError) as caught:
        mount_api.mount_setattr(-1, mount_api.MOUNT_ATTR_RDONLY)
    assert caught.value.errno == errno.EBADF
