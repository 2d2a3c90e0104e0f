"""What limits become on either version, on directories that play the hierarchy."""

from __future__ import annotations

from pathlib import Path

import pytest

from jsched.errors import InvalidArgument
from jsched.isolation.cgroup_plan import Write
from jsched.isolation.hierarchy import Hierarchy
from jsched.isolation.hierarchy_v1 import CONTROLLERS, HierarchyV1
from jsched.isolation.hierarchy_v2 import HierarchyV2
from jsched.limits import DiskLimit, Limits
from jsched.linux.cgroups import CgroupMount
from jsched.linux.disks import real_disks

FILES_V1 = {
    "cpu": ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares"),
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.kmem.tcp.limit_in_bytes"),
    "pids": ("pids.max",),
    "blkio": tuple(f"blkio.throttle.{rate}_device" for rate in ("read_bps", "write_bps", "read_iops", "write_iops")),
}
FILES_V2 = ("cpu.max", "cpu.weight", "memory.max", "memory.swap.max", "memory.oom.group", "io.max", "pids.max")
MIB = 1024 * 1024


def v1(root: Path, without: str = "") -> HierarchyV1:
    """Return a hierarchy of version 1, without one of its files."""
    for controller in CONTROLLERS:
        group = root / controller / "group"
        group.mkdir(parents=True)
        for file in FILES_V1.get(controller, ()):
            if file != without:
                (group / file).write_text("")
    mounts = [CgroupMount(1, str(root / name), "/", (name,)) for name in CONTROLLERS]
    hierarchy = HierarchyV1(mounts, "group")
    hierarchy.prepare()
    return hierarchy


def v2(root: Path, without: str = "") -> HierarchyV2:
    """Return a hierarchy of version 2, without one of its files."""
    for directory in (root, root / "group", root / "group-own"):
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.controllers").write_text("cpu io memory pids")
        (directory / "cgroup.subtree_control").write_text("cpu io memory pids")
    for file in FILES_V2:
        if file != without:
            (root / "group" / file).write_text("")
    hierarchy = HierarchyV2(str(root), "", "group")
    hierarchy.prepare()
    return hierarchy


def writes(hierarchy: Hierarchy, limits: Limits, companions: int = 0) -> dict[str, str]:
    """Return what is written for limits, all of which are enforced, by the name of the file."""
    planned = hierarchy.plan("job", limits, companions=companions)
    assert planned.cgroup is not None
    assert planned.unenforced == ()
    assert all(file.rpartition("/")[0].endswith("group/job") for file, _ in planned.cgroup.writes)
    return {file.rpartition("/")[2]: value for file, value in planned.cgroup.writes}


ALL = Limits(cpus=1.5, cpu_weight=50, memory=64 * MIB, swap=16 * MIB, pids=20)


def test_v1(tmp_path: Path) -> None:
    """Every limit has its files in version 1."""
    assert writes(v1(tmp_path), ALL) == {
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "150000",
        "cpu.shares": "512",
        "memory.kmem.tcp.limit_in_bytes": str(64 * MIB),
        "memory.limit_in_bytes": str(64 * MIB),
        "memory.memsw.limit_in_bytes": str(80 * MIB),
        "pids.max": "20",
    }


def test_memory_in_sockets_on_a_kernel_that_does_not_limit_it(tmp_path: Path) -> None:
    """Where version 1 has no limit for it the job's memory is limited all the same."""
    hierarchy = v1(tmp_path, without="memory.kmem.tcp.limit_in_bytes")
    assert set(writes(hierarchy, Limits(memory=MIB << 4))) == {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}


def test_v2(tmp_path: Path) -> None:
    """Every limit has its file in version 2."""
    assert writes(v2(tmp_path), ALL) == {
        "cpu.max": "150000 100000",
        "cpu.weight": "50",
        "memory.max": str(64 * MIB),
        "memory.swap.max": str(16 * MIB),
        "memory.oom.group": "1",
        "pids.max": "20",
    }


def test_no_more_cpus_than_above(tmp_path: Path) -> None:
    """In a hierarchy whose top is limited a job gets no more than that, which version 1 would refuse."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    hierarchy = v1(tmp_path)
    assert hierarchy.plan("job", Limits(cpus=2)).applied == Limits(cpus=0.5)
    assert hierarchy.plan("job", Limits(cpus=0.2)).applied == Limits(cpus=0.2)
    assert writes(hierarchy, Limits(cpus=2))["cpu.cfs_quota_us"] == "50000"


def test_memory_without_swap(tmp_path: Path) -> None:
    """A memory limit with no word about swap leaves no way out through swap."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert writes(v1(tmp_path / "one"), Limits(memory=64 * MIB))["memory.memsw.limit_in_bytes"] == str(64 * MIB)
    assert writes(v2(tmp_path / "two"), Limits(memory=64 * MIB))["memory.swap.max"] == "0"


@pytest.mark.parametrize("make", [v1, v2])
def test_disks(tmp_path: Path, make: type[Hierarchy]) -> None:
    """Each disk is written with its number; of two limits on one the later counts."""
    disks = real_disks()
    if not disks:
        pytest.skip("a disk")
    limits = Limits(disk=(DiskLimit("all", read_bps=5, write_iops=7), DiskLimit(str(disks[0]), read_bps=6)))
    hierarchy = make(tmp_path)  # type: ignore[call-arg, arg-type]
    planned = hierarchy.plan("job", limits)
    assert planned.cgroup is not None
    values = [write.value for write in planned.cgroup.writes if "/memory." not in write.file]
    if hierarchy.version == 1:
        assert values[:2] == [f"{disks[0]} 6", f"{disks[0]} 7"]
    else:
        assert values[0] == f"{disks[0]} rbps=6 wiops=7"
    assert planned.applied.disk[0] == DiskLimit(str(disks[0]), read_bps=6, write_iops=7)


@pytest.mark.parametrize("make", [v1, v2])
def test_room_for_the_monitor(tmp_path: Path, make: type[Hierarchy]) -> None:
    """One process is all that is allowed, but while the monitor is in there are two; init is no part of the job."""
    hierarchy = make(tmp_path)  # type: ignore[call-arg, arg-type]
    planned = hierarchy.plan("job", Limits(pids=1))
    assert planned.cgroup is not None
    file = next(file for file, _ in planned.cgroup.writes if file.endswith("pids.max"))
    assert Write(file, "1") in planned.cgroup.writes
    assert planned.cgroup.entering == (Write(file, "2"),)
    assert planned.cgroup.entered == (Write(file, "1"),)
    assert writes(hierarchy, Limits(pids=1), companions=1)["pids.max"] == "2"
    planned = hierarchy.plan("job", Limits(pids=512))
    assert planned.cgroup is not None
    assert planned.cgroup.entering == planned.cgroup.entered == ()


@pytest.mark.parametrize(
    ("without", "limits", "text"),
    [
        ("cpu.cfs_quota_us", Limits(cpus=1), "cpus: cpu: the kernel has no cpu.cfs_quota_us"),
        ("memory.limit_in_bytes", Limits(memory=64 * MIB), "memory: memory: the kernel has no memory.limit_in_bytes"),
        (
            "memory.memsw.limit_in_bytes",
            Limits(memory=64 * MIB, swap=0),
            "swap: memory: the kernel has no memory.memsw.limit_in_bytes",
        ),
        ("pids.max", Limits(pids=5), "pids: pids: the kernel has no pids.max"),
        ("", Limits(swap=5), "swap: memory: swap can only be limited together with memory"),
        ("", Limits(disk_weight=5), "disk_weight: blkio: the kernel has no blkio.bfq.weight"),
        (
            "blkio.throttle.read_bps_device",
            Limits(disk=(DiskLimit("all", read_bps=5),)),
            "read_bps: blkio: the kernel has no blkio.throttle.read_bps_device",
        ),
    ],
)
def test_missing_in_v1(tmp_path: Path, without: str, limits: Limits, text: str) -> None:
    """What this kernel lacks is told, with the controller, and is not among what is applied."""
    planned = v1(tmp_path, without).plan("job", limits)
    assert [str(one) for one in planned.unenforced] == [text]
    assert getattr(planned.applied, planned.unenforced[0].limit, None) is None


@pytest.mark.parametrize(
    ("without", "limits", "text"),
    [
        ("cpu.max", Limits(cpus=1), "cpus: cpu: the kernel has no cpu.max"),
        ("memory.max", Limits(memory=64 * MIB), "memory: memory: the kernel has no memory.max"),
        ("memory.swap.max", Limits(swap=0), "swap: memory: the kernel has no memory.swap.max"),
        ("pids.max", Limits(pids=5), "pids: pids: the kernel has no pids.max"),
        ("", Limits(disk_weight=5), "disk_weight: io: the kernel has no io.weight"),
        ("io.max", Limits(disk=(DiskLimit("all", read_bps=5),)), "read_bps: io: the kernel has no io.max"),
    ],
)
def test_missing_in_v2(tmp_path: Path, without: str, limits: Limits, text: str) -> None:
    """What this kernel lacks is told, with the controller, and is not among what is applied."""
    planned = v2(tmp_path, without).plan("job", limits)
    assert [str(one) for one in planned.unenforced] == [text]
    assert getattr(planned.applied, planned.unenforced[0].limit, None) is None


@pytest.mark.parametrize("device", ["nowhere", "/proc/nowhere", "/dev/null", "4095:1", "999:999:9", "a\udcffb"])
def test_no_disk(tmp_path: Path, device: str) -> None:
    """A device that is none is refused, by name."""
    with pytest.raises(InvalidArgument) as caught:
        v2(tmp_path).plan("job", Limits(disk=(DiskLimit(device, read_bps=5),)))
    assert caught.value.obj == "disk"
