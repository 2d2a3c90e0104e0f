"""Mounted hierarchies, and where a process is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jsched.linux.cgroups import CgroupMount, below_mount, cgroup_mounts, own_cgroups

MOUNTINFO = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
42 31 0:39 /docker/x /sys/fs/a\040b ro - cgroup cgroup rw,memory
41 31 0:38 /.. /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
"""


def test_mounts(tmp_path: Path) -> None:
    """Versions, mount points, roots and controllers are told, and options are no controllers."""
    file = tmp_path / "mountinfo"
    file.write_text(MOUNTINFO)
    assert cgroup_mounts(file) == [
        CgroupMount(1, "/sys/fs/cgroup/cpu,cpuacct", "/", ("cpu", "cpuacct")),
        CgroupMount(1, "/sys/fs/cgroup/systemd", "/", ()),
        CgroupMount(1, "/sys/fs/a b", "/docker/x", ("memory",)),
        CgroupMount(2, "/sys/fs/cgroup/unified", "/..", ()),
    ]


def test_own(tmp_path: Path) -> None:
    """Each controller has its place, and version 2 is under the empty name."""
    file = tmp_path / "cgroup"
    file.write_text("9:name=systemd:/init\n4:cpu,cpuacct:/a:b\n0::/c\n")
    assert own_cgroups(file) == {"cpu": "/a:b", "cpuacct": "/a:b", "": "/c", "name=systemd": "/init"}


def test_this_machine() -> None:
    """This machine's own files are understood."""
    assert all(mount.mount_point.startswith("/") for mount in cgroup_mounts())
    assert all(path.startswith("/") for path in own_cgroups().values())


@pytest.mark.parametrize(
    ("root", "cgroup", "inside"),
    [
        ("/", "/a/b", "a/b"),
        ("/", "/", ""),
        ("/docker/x", "/docker/x/y", "y"),
        ("/docker/x", "/docker/x", ""),
        ("/docker/x", "/docker/xy", None),
        ("/", "/../other", None),
    ],
)
def test_below_mount(root: str, cgroup: str, inside: str | None) -> None:
    """A cgroup is found below the mount point if the mount shows it."""
    assert below_mount(CgroupMount(2, "/sys/fs/cgroup", root, ()), cgroup) == inside
