"""Which hierarchy is chosen on machines that these tests make up, and on this one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jsched.isolation.discovery import discover
from jsched.isolation.hierarchy import Hierarchy, NoHierarchy, group_name
from jsched.isolation.hierarchy_v2 import HierarchyV2
from jsched.limits import DiskLimit, Limits


class Machine:
    """A directory with hierarchies in it, and the two files of /proc that tell of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mountinfo, self.own = root / "mountinfo", root / "cgroup"
        self.mountinfo.write_text("22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n")
        self.own.write_text("")

    def mount(self, name: str, kind: str, options: str) -> Path:
        """Mount a hierarchy."""
        point = self.root / name
        point.mkdir()
        with self.mountinfo.open("a") as file:
            file.write(f"30 22 0:30 / {point} rw,nosuid shared:9 - {kind} cgroup rw,{options}\n")
        return point

    def mount_v2(self, *paths: str) -> Path:
        """Mount version 2, with these cgroups in it."""
        point = self.mount("unified", "cgroup2", "nsdelegate")
        for path in ("", *paths):
            make_v2(point / path)
        return point

    def discover(self, parent: str | None = None) -> Hierarchy | NoHierarchy:
        """Return what is found on this machine."""
        return discover("jsched-x", parent, mountinfo=self.mountinfo, own=self.own)


def make_v2(directory: Path, files: tuple[str, ...] = ()) -> None:
    """Make the files that every cgroup of version 2 has."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "cgroup.controllers").write_text("cpu io memory pids\n")
    (directory / "cgroup.subtree_control").write_text("cpu io memory pids\n")
    (directory / "cgroup.procs").write_text("")
    for file in files:
        (directory / file).write_text("")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_hybrid(machine: Machine) -> None:
    """Controllers in version 1 are used, though version 2 is mounted beside them."""
    machine.mount_v2()
    machine.mount("memory", "cgroup", "memory")
    machine.mount("cpu,cpuacct", "cgroup", "cpu,cpuacct")
    machine.mount("systemd", "cgroup", "xattr,name=systemd")
    found = machine.discover()
    assert isinstance(found, Hierarchy)
    assert found.version == 1
    assert found.groups == (
        ("cpuacct", "cpu,cpuacct/jsched-x", "cpu,cpuacct"),
        ("memory", "memory/jsched-x", "memory"),
        ("cpu", "cpu,cpuacct/jsched-x", "cpu,cpuacct"),
    )
    assert found.fs.root == str(machine.root)
    assert (machine.root / "cpu,cpuacct/jsched-x").is_dir()


def test_parent(machine: Machine) -> None:
    """The parent that the administrator wants is made, in each hierarchy."""
    machine.mount("memory", "cgroup", "memory")
    machine.mount("pids", "cgroup", "pids")
    found = machine.discover("/batch/jobs")
    assert isinstance(found, Hierarchy)
    assert (machine.root / "memory/batch/jobs/jsched-x").is_dir()
    assert (machine.root / "pids/batch/jobs/jsched-x").is_dir()


@pytest.mark.parametrize("parent", ["/batch/jobs", "batch"])
def test_a_parent_that_was_made_goes_with_the_last_server(machine: Machine, parent: str) -> None:
    """What the server has made above its group goes when it is empty, also if it was an earlier one that made it."""
    machine.mount("memory", "cgroup", "memory")
    machine.mount("pids", "cgroup", "pids")
    try:
        os.setxattr(machine.root / "pids", "user.jsched-test", b"1")
    except OSError as error:
        pytest.skip(f"extended attributes ({error.strerror})")
    first, again, other = (
        discover(name, parent, mountinfo=machine.mountinfo, own=machine.own) for name in ("x", "x", "other")
    )
    assert isinstance(first, Hierarchy) and isinstance(again, Hierarchy) and isinstance(other, Hierarchy)
    again.remove()
    assert [path.name for path in machine.root.glob(f"*/{parent.strip('/')}/*")] == ["other", "other"]
    other.remove()
    assert list(machine.root.glob("*/batch")) == []


def test_a_parent_that_was_there_stays(machine: Machine) -> None:
    """What an administrator has made is not the server's to remove."""
    (machine.mount("memory", "cgroup", "memory") / "batch").mkdir()
    found = machine.discover("/batch/jobs")
    assert isinstance(found, Hierarchy)
    found.remove()
    assert [path.name for path in machine.root.glob("memory/batch")] == ["batch"]


def test_a_parent_in_version_2(machine: Machine) -> None:
    """It is the same with version 2, of which the leaf of the server's own is a neighbour of the group."""
    (point := machine.root / "v2").mkdir()
    found = HierarchyV2(str(point), "", "batch/jobs/jsched-x")
    for directory in ("batch", "batch/jobs", "batch/jobs/jsched-x", "batch/jobs/jsched-x-own"):
        found.fs.make_marked(directory)
    if not found.fs.is_marked("batch"):
        pytest.skip("extended attributes")
    found.remove()
    assert list(point.iterdir()) == []


def test_nothing(machine: Machine) -> None:
    """Without cgroups the reason is told, and every limit is said to be not enforced, with its controller."""
    machine.mount("systemd", "cgroup", "xattr,name=systemd")
    found = machine.discover()
    assert isinstance(found, NoHierarchy)
    assert found.reason == "no cgroup hierarchy is mounted"
    planned = found.plan("job", Limits(memory=2**30, disk=(DiskLimit("all", read_bps=5),)))
    assert planned.cgroup is None
    assert planned.applied == Limits()
    assert [(one.limit, one.controller) for one in planned.unenforced] == [("memory", "memory"), ("read_bps", "io")]


def test_not_ours_to_write(machine: Machine) -> None:
    """A hierarchy in which no group can be made is none, and the error is the reason."""
    machine.mount("memory", "cgroup", "memory").rmdir()
    found = machine.discover()
    assert isinstance(found, NoHierarchy)
    assert found.reason == f"{machine.root}/memory/jsched-x: No such file or directory"


def test_nothing_is_left_where_one_group_can_not_be_made(machine: Machine) -> None:
    """What was made before an error, in other hierarchies, is removed again."""
    machine.mount("pids", "cgroup", "pids")
    machine.mount("memory", "cgroup", "memory").rmdir()
    assert isinstance(machine.discover(), NoHierarchy)
    assert list((machine.root / "pids").iterdir()) == []


@pytest.mark.usefixtures("as_user")
def test_user_without_delegation(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user to whom nothing was delegated is told what to do."""
    machine.mount_v2("user.slice/session-1.scope")
    machine.own.write_text("0::/user.slice/session-1.scope\n")
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = machine.discover()
    assert isinstance(found, NoHierarchy)
    assert "Delegate=yes" in found.reason


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize("inside", ["", "/jsched-x-own"])
def test_user_with_delegation(machine: Machine, inside: str) -> None:
    """The delegated cgroup is used, and also after an earlier server has moved into its leaf."""
    point = machine.mount_v2("app.slice/jsched.service", "app.slice/jsched.service/jsched-x-own")
    make_v2(point / "app.slice/jsched.service/jsched-x")
    machine.own.write_text(f"0::/app.slice/jsched.service{inside}\n")
    found = machine.discover()
    assert isinstance(found, HierarchyV2)
    assert found.groups == (("", "app.slice/jsched.service/jsched-x", "app.slice/jsched.service/jsched-x-own"),)


def test_moves_into_its_leaf(machine: Machine) -> None:
    """A server that is in a cgroup which has to hand controllers down leaves it for a leaf."""
    point = machine.mount_v2("service", "service/jsched-x", "service/jsched-x-own")
    (point / "service/cgroup.type").write_text("domain\n")
    (point / "service/cgroup.procs").write_text(f"{os.getpid()}\n")
    found = HierarchyV2(str(point), "service", "service/jsched-x")
    found.prepare()
    assert (point / "service/jsched-x-own/cgroup.procs").read_text() == "0"


def test_hands_down(machine: Machine) -> None:
    """Controllers are enabled where they are not; what is not there is told when it is asked for."""
    point = machine.mount_v2("jsched-x", "jsched-x-own")
    (point / "cgroup.subtree_control").write_text("cpu memory\n")
    (point / "jsched-x/cgroup.subtree_control").write_text("cpu memory\n")
    (point / "jsched-x/cgroup.controllers").write_text("cpu memory pids\n")
    (point / "jsched-x/pids.max").write_text("max\n")
    found = machine.discover()
    assert isinstance(found, HierarchyV2)
    assert (point / "cgroup.subtree_control").read_text().startswith("+pids")
    planned = found.plan("job", Limits(pids=9, disk=(DiskLimit("8:0", read_bps=5),)))
    assert planned.applied == Limits(pids=9)
    assert str(planned.unenforced[0]).startswith("read_bps: io: the controller is not available in")


def test_group_name(tmp_path: Path) -> None:
    """Two data directories have two names, and one has the same at each start, however it is written."""
    assert group_name(tmp_path / "a") == group_name(tmp_path / "b/../a") != group_name(tmp_path / "b")
    assert group_name(tmp_path).startswith("jsched-")
