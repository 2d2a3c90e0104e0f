"""Archives that want out of their tree: each refused with the reason, and nothing left behind."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched.config import Config
from jsched.errors import InvalidArgument
from tests.helpers.archives import (
    device,
    hard_link,
    member,
    pax,
    record,
    symlink,
    tar,
)
from tests.helpers.library import refusal, small_config
from tests.helpers.trees import picture

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return small_config(tmp_path)


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Path]:
    """A tree outside, that has to be as it was in the end."""
    outside = tmp_path / "outside"
    (outside / "etc").mkdir(parents=True)
    (outside / "etc/passwd").write_text("root:x:0:0\n")
    before = picture(outside)
    yield outside
    assert picture(outside) == before


OUT = [
    (
        "a parent directory",
        tar(member("../../outside/etc/passwd", b"x")),
        "member 1 '../../outside/etc/passwd': its name has a '..'",
    ),
    ("a parent directory inside", tar(member("usr/../../x", b"x")), "has a '..'"),
    (
        "a parent directory in a pax name",
        pax(record(b"path", b"../x")) + tar(member("x", b"x")),
        "'../x': its name has a '..'",
    ),
    ("an absolute name", tar(member("/etc/passwd", b"x")), "its name is absolute"),
    ("an absolute pax name", pax(record(b"path", b"/etc/passwd")) + tar(member("x", b"x")), "its name is absolute"),
    (
        "a file through a link",
        tar(symlink("way", "/tmp/etc"), member("way/passwd", b"x")),
        "member 2 'way/passwd': its path leads through a symbolic link",
    ),
    ("a directory through a link", tar(symlink("way", "/tmp"), member("way/etc/")), "through a symbolic link"),
    ("a link through a link", tar(symlink("way", "/tmp"), symlink("way/new", "x")), "through a symbolic link"),
    (
        "a file through a link inside",
        tar(member("usr/"), symlink("bin", "usr"), member("bin/sh", b"x")),
        "through a symbolic link",
    ),
    ("a file through a file", tar(member("usr", b"x"), member("usr/sh", b"x")), "through what is not a directory"),
    (
        "a link that climbs out",
        tar(symlink("usr/lib", "../../outside")),
        "member 1 'usr/lib': its target '../../outside' leads out",
    ),
    ("a link that climbs out later", tar(symlink("a", "b/../../c")), "leads out of the tree"),
    ("a link to nothing", pax(record(b"linkpath", b"\0")) + tar(symlink("a", "x")), "has a NUL"),
    ("a hard link to outside", tar(hard_link("mine", "/tmp/etc/passwd")), "hard link to .*outside of the tree"),
    ("a hard link up and out", tar(hard_link("mine", "../outside/etc/passwd")), "outside of the tree"),
    (
        "a hard link to a link",
        tar(symlink("a", "/tmp/etc/passwd"), hard_link("mine", "a")),
        "member 2 'mine': it is a hard link to what is not a file",
    ),
    (
        "a hard link through a link",
        tar(symlink("a", "/tmp/etc"), hard_link("mine", "a/passwd")),
        "through a symbolic link",
    ),
    ("a hard link to a directory", tar(member("a/"), hard_link("mine", "a")), "is not a file"),
    (
        "a hard link to what comes later",
        tar(hard_link("mine", "a"), member("a", b"x")),
        "is not a file that came before",
    ),
    ("a hard link to the root", tar(hard_link("mine", ".")), "is not a file"),
    ("a hard link with content", tar(member("a", b"x")).rstrip(b"\0") + bytes(511) + bytes(0), "cut off|damaged"),
    *(
        (f"/{name} as a link", tar(symlink(name, "/tmp")), f"/{name} is a symbolic link, and has to be a directory")
        for name in ("dev", "etc", "proc", "sys", "tmp")
    ),
    ("/proc as a link with a dot", tar(symlink("./proc", "/")), "/proc is a symbolic link"),
    ("/proc as a file", tar(member("proc", b"x")), "/proc is not a directory"),
    ("/dev as a hard link", tar(member("a", b"x"), hard_link("dev", "a")), "/dev is not a directory"),
    ("the root as a link", tar(symlink("./", "/")), "the root has to be a directory"),
    ("a character device", tar(device("null", tarfile.CHRTYPE)), "member 1 'null': it is a character device"),
    ("a block device", tar(device("sda", tarfile.BLKTYPE)), "it is a block device"),
    ("a FIFO", tar(member("pipe", type=tarfile.FIFOTYPE)), "it is a FIFO"),
    ("an unknown kind", tar(member("x", type=b"Z")), "a kind that is not known"),
    ("a NUL in a name", pax(record(b"path", b"a\0b")) + tar(member("x", b"x")), "has a NUL"),
    ("a directory replaced", tar(member("a/"), member("a/b", b"x"), member("a", b"x")), "it would replace a directory"),
    ("a mount point replaced", tar(member("etc/"), symlink("etc", "usr")), "/etc is a symbolic link"),
]


@pytest.mark.parametrize(("content", "reason"), [pytest.param(*case, id=name) for name, *case in OUT])
def test_whatever_leads_out_is_refused(config: Config, sentinel: Path, content: bytes, reason: str) -> None:
    """Each way out of the tree is refused with the member and the reason, and nothing outside is touched."""
    error = refusal(config, content)
    assert type(error) is InvalidArgument
    assert re.search(reason, error.message), error.message


def test_links_to_real_places_outside_are_not_followed(config: Config, sentinel: Path) -> None:
    """With links that lead to an existing directory on the host, nothing is written to it."""
    for content in (
        tar(symlink("way", f"{sentinel}/etc"), member("way/passwd", b"x")),
        tar(symlink("way", str(sentinel)), member("way/etc/new", b"x")),
        tar(symlink("way", f"{sentinel}/etc/passwd"), hard_link("mine", "way"), member("mine", b"x")),
        tar(symlink("a", str(sentinel)), symlink("b", "a/etc"), member("b/passwd", b"x")),
    ):
        assert type(refusal(config, content)) is InvalidArgument
