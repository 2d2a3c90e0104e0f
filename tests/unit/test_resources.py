"""What jobs get of this machine: asked, by default, refused, reported, told and swept."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsched import assembly
from jsched.config import Config
from jsched.engine import Engine
from jsched.errors import FailedPrecondition, InvalidArgument
from jsched.isolation import draft
from jsched.isolation.discovery import discover
from jsched.isolation.hierarchy import Hierarchy, NoHierarchy, group_name
from jsched.limits import NO_LIMITS, DiskLimit, Limits
from jsched.linux.cgroups import cgroup_mounts
from jsched.linux.disks import Disk, real_disks
from jsched.profile import REPORT, Profile
from jsched.resources import Resources
from jsched.stats import Load
from tests.helpers.cgroups import Monitor, is_there

MIB = 1024 * 1024
PIDS = Profile(Limits(pids=50))


def configured(root: Path, profile: Profile) -> Config:
    """Return a configuration with a data directory of its own."""
    return Config(data_dir=root / "data", log_dir=root / "logs", limits=profile)


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    """A server's resources on this machine, gone afterwards."""
    hierarchy = discover(f"jsched-test-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    if isinstance(hierarchy, NoHierarchy):
        pytest.skip(f"cgroups ({hierarchy.reason})")
    found = Resources(configured(tmp_path, PIDS), hierarchy)
    yield found
    found.sweep(())
    found.close()
    assert hierarchy.jobs() == set()


def without(tmp_path: Path, profile: Profile) -> Resources:
    """Return the resources of a machine without cgroups."""
    return Resources(configured(tmp_path, profile), NoHierarchy("not mounted"))


def test_default_and_asked(resources: Resources) -> None:
    """A job gets what it asks for, and the default of what it does not."""
    assert resources.plan("job", NO_LIMITS).applied == Limits(pids=50)
    planned = resources.plan("job", Limits(pids=20, memory=64 * MIB))
    assert planned.applied == Limits(pids=20, memory=64 * MIB)
    assert planned.unenforced == ()
    assert planned.cgroup is not None


def test_a_profile_of_ones_own(resources: Resources) -> None:
    """Another profile is in the place of the configuration's, fitted to this machine as that is."""
    profile = Limits(memory=64 * MIB, cpus=8000.0)
    cpus = float(os.cpu_count() or 1)
    assert resources.plan("job", NO_LIMITS, profile=profile).applied == Limits(memory=64 * MIB, cpus=cpus)
    assert resources.plan("job", Limits(cpus=0.5), profile=profile).applied == Limits(memory=64 * MIB, cpus=0.5)
    assert resources.plan("job", NO_LIMITS, profile=NO_LIMITS).applied == NO_LIMITS
    assert resources.plan("job", NO_LIMITS).applied == Limits(pids=50)


def test_a_profile_that_can_not_be_applied(tmp_path: Path) -> None:
    """What the machine can't apply of a profile is told of the job, which is not refused for it."""
    planned = without(tmp_path, Profile(Limits(pids=50))).plan("job", NO_LIMITS, profile=Limits(memory=64 * MIB))
    assert [one.limit for one in planned.unenforced] == ["memory"]


def test_refused(tmp_path: Path) -> None:
    """A limit that was asked for and can't be applied is an error that names the limit and the controller."""
    with pytest.raises(FailedPrecondition, match="controller memory: not mounted") as caught:
        without(tmp_path, PIDS).plan("job", Limits(memory=64 * MIB))
    assert caught.value.obj == "memory"


def test_default_is_not_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A default that can't be applied refuses nobody, but is told: in the log at start, and of each job."""
    with caplog.at_level(logging.WARNING):
        resources = without(tmp_path, Profile())
    assert "default limits: memory can't be applied: memory: not mounted" in caplog.text
    planned = resources.plan("job", NO_LIMITS)
    assert planned.cgroup is None
    assert planned.applied == NO_LIMITS
    assert {one.limit for one in planned.unenforced} == {"cpus", "memory", "pids", "read_bps", "write_bps"}


def test_reported(tmp_path: Path) -> None:
    """Where the configuration wants it, it is a report: each limit once, asked or not."""
    resources = without(tmp_path, Profile(Limits(pids=50), unenforceable=REPORT))
    planned = resources.plan("job", Limits(pids=5, disk=(DiskLimit("all", read_bps=5 << 20),)))
    assert [one.limit for one in planned.unenforced] == ["pids", "read_bps"]


def test_no_disk(resources: Resources) -> None:
    """A disk that is none is the caller's mistake, not the machine's."""
    with pytest.raises(InvalidArgument, match="/proc/nowhere"):
        resources.plan("job", Limits(disk=(DiskLimit("/proc/nowhere", read_bps=5 << 20),)))


@pytest.mark.parametrize("directory", ["/root", "/usr", "/proc"])
def test_disks_tell_nothing_of_files(resources: Resources, directory: str) -> None:
    """What a caller gets for a path is the same whether it is there or not, but for the path itself."""

    def answer(path: str) -> str:
        try:
            return str(resources.plan("job", Limits(disk=(DiskLimit(path, read_bps=5 << 20),))).applied)
        except InvalidArgument as error:
            return str(error).replace(path, "PATH")

    assert len({answer(f"{directory}/{name}") for name in (*os.listdir(directory)[:5], "nowhere", "no/where")}) == 1


@pytest.mark.parametrize(
    ("rate", "least"), [("read_bps", 1 << 20), ("write_bps", 1 << 20), ("read_iops", 50), ("write_iops", 50)]
)
def test_rates_that_hold_up_others(resources: Resources, rate: str, least: int) -> None:
    """A rate at which one read keeps everybody who wants the same page waiting is refused."""
    words = f"{rate} is {least - 1} [a-z]+ a second, less than {'1 MiB' if least > 50 else '50 operations'} a second"
    with pytest.raises(InvalidArgument, match=words):
        resources.plan("job", Limits(disk=(DiskLimit("all", **{rate: least - 1}),)))
    resources.plan("job", Limits(disk=(DiskLimit("all", **{rate: least}),)))


def test_a_disk_that_is_limited_twice(resources: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two limits of one rate that come to one disk are refused, by whichever names; other rates and `all` are not."""
    where = {"/tmp": Disk(8, 0), "8:0": Disk(8, 0), "8:16": Disk(8, 16)}
    monkeypatch.setattr(draft, "find_disk", where.__getitem__)
    for one, other in (("/tmp", "8:0"), ("8:0", "/tmp"), ("8:0", "8:0"), ("all", "all")):
        asked = Limits(disk=(DiskLimit(one, read_bps=5 << 20), DiskLimit(other, read_bps=9 << 20)))
        with pytest.raises(InvalidArgument, match="read_bps is given twice"):
            resources.plan("job", asked)
    for limits in (
        (DiskLimit("8:0", read_bps=5 << 20), DiskLimit("/tmp", write_bps=9 << 20)),
        (DiskLimit("8:0", read_bps=5 << 20), DiskLimit("8:16", read_bps=9 << 20)),
        (DiskLimit("/tmp", read_bps=5 << 20), DiskLimit("all", read_bps=9 << 20)),
        (DiskLimit("all", read_bps=9 << 20), DiskLimit("/tmp", read_bps=5 << 20)),
    ):
        applied = resources.plan("job", Limits(disk=limits)).applied
        assert next(one for one in applied.disk if one.device == "8:0").read_bps == 5 << 20


def test_a_default_is_no_second_limit(tmp_path: Path) -> None:
    """What a job asks for is in the place of a default for the same disk, by whichever name."""
    found = discover(f"jsched-test-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    disks = real_disks()
    if isinstance(found, NoHierarchy) or not disks:
        pytest.skip("cgroups and a disk")
    config = configured(tmp_path, Profile(Limits(disk=(DiskLimit(str(disks[0]), read_bps=5 << 20),))))
    resources = Resources(config, found)
    try:
        applied = resources.plan("job", Limits(disk=(DiskLimit(str(disks[0]), read_bps=9 << 20),))).applied
        assert applied.disk == (DiskLimit(str(disks[0]), read_bps=9 << 20),)
    finally:
        resources.close()


def test_usage_and_end(resources: Resources) -> None:
    """A running job's usage is told, and a job whose monitor is gone is ended with its cgroup."""
    job_id = str(uuid.uuid4())
    assert resources.usage(job_id) is None
    plan = resources.plan(job_id, NO_LIMITS).cgroup
    assert plan is not None
    monitor = Monitor(plan, "cat")
    usage = resources.usage(job_id)
    assert usage is not None
    assert usage.oom_kills == 0
    assert usage.max_rss is None
    assert resources.end(job_id)
    assert monitor.wait() == 256 - signal.SIGKILL
    assert resources.usage(job_id) is None
    assert resources.end(job_id)


def test_load(resources: Resources) -> None:
    """What jobs use is summed over those that tell; of no job nothing is made up."""
    assert resources.load(()) == Load()
    ids = [str(uuid.uuid4()) for _ in range(3)]
    assert resources.load(ids) == Load()
    plans = [resources.plan(job_id, NO_LIMITS).cgroup for job_id in ids[:2]]
    monitors = [Monitor(plan, "cat") for plan in plans if plan is not None]
    load = resources.load(ids)
    assert (load.jobs, load.pids) == (2, 2)
    assert load.cpu is not None
    for job_id in ids:
        resources.end(job_id)
    for monitor in monitors:
        monitor.wait()


def test_sweep(resources: Resources) -> None:
    """What an earlier server left behind goes, and what is live stays."""
    assert isinstance(resources.hierarchy, Hierarchy)
    gone, live = (resources.hierarchy.cgroup(str(uuid.uuid4())) for _ in range(2))
    gone.make()
    live.make()
    resources.sweep([live.directories[0].rpartition("/")[2]])
    assert not is_there(gone)
    assert is_there(live)


def test_two_servers(tmp_path: Path) -> None:
    """Two servers on one machine don't sweep each other's jobs."""
    first, second = (Resources(configured(tmp_path / name, PIDS)) for name in ("a", "b"))
    if isinstance(first.hierarchy, NoHierarchy):
        pytest.skip(f"cgroups ({first.hierarchy.reason})")
    cgroup = first.hierarchy.cgroup(str(uuid.uuid4()))
    cgroup.make()
    try:
        second.sweep(())
        assert is_there(cgroup)
    finally:
        first.sweep(())
        assert not is_there(cgroup)
        first.close()
        second.close()
        assert isinstance(second.hierarchy, Hierarchy)
        groups = [group for one in (first, second) for group in one.hierarchy.groups]  # type: ignore[union-attr]
        assert not any(first.hierarchy.fs.has(group.directory) for group in groups)


def test_disabled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server that is to have no cgroups makes none, says so in one line, and of each job why it has no limits."""
    with caplog.at_level(logging.INFO):
        resources = Resources(configured(tmp_path, Profile(Limits(pids=5, memory=64 << 20, cpus=1), enabled=False)))
    assert [(line.levelname, line.message) for line in caplog.records] == [
        ("INFO", "limits are disabled by the configuration: jobs get none")
    ]
    planned = resources.plan("job", NO_LIMITS)
    assert planned.cgroup is None
    assert planned.unenforced[0].reason == "the server's configuration has limits disabled"


def test_nothing_to_do_without_cgroups(tmp_path: Path) -> None:
    """Without cgroups there is nothing to tell, to end or to sweep."""
    resources = without(tmp_path, PIDS)
    assert resources.usage("job") is None
    assert resources.end("job")
    resources.sweep(())
    resources.close()


def groups_of(config: Config) -> list[Path]:
    """Return the server's groups, in whichever hierarchy."""
    name = group_name(config.data_dir)
    return [path for mount in cgroup_mounts() for path in Path(mount.mount_point).glob(f"{name}*")]


@pytest.mark.parametrize("device", ["/dev/nope", "4095:1", "/proc", "/usr/not/there"])
def test_nothing_is_left_of_a_disk_that_is_none(tmp_path: Path, device: str) -> None:
    """A disk of the configuration's that is none, or not there, is refused, and no cgroup is left."""
    config = configured(tmp_path, Profile(Limits(pids=50, disk=(DiskLimit(device, read_bps=5 << 20),))))
    try:
        resources = Resources(config)
    except InvalidArgument as error:
        assert device in error.message
        assert groups_of(config) == []
    else:
        assert isinstance(resources.hierarchy, NoHierarchy)
        pytest.skip(f"cgroups ({resources.hierarchy.reason})")


def test_nothing_is_left_of_a_start_that_fails_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an engine fails in after it has made cgroups, they are gone."""
    config = configured(tmp_path, PIDS)
    seen: list[int] = []

    def fail(_: Config) -> None:
        seen.append(len(groups_of(config)))
        raise MemoryError

    async def start() -> None:
        async with Engine(config):
            pass

    monkeypatch.setattr(assembly, "Confiner", fail)
    with pytest.raises(MemoryError):
        asyncio.run(start())
    if seen == [0]:
        pytest.skip("cgroups")
    assert groups_of(config) == []


def test_nothing_is_left_of_a_start_that_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is given up while its cgroups are made has none when that is over."""
    config = configured(tmp_path, PIDS)
    begun, go_on = threading.Event(), threading.Event()
    made: list[Resources] = []

    def make(config: Config) -> Resources:
        begun.set()
        assert go_on.wait(60)
        made.append(Resources(config))
        return made[0]

    async def start() -> None:
        opening = asyncio.ensure_future(Engine(config).open())
        await asyncio.to_thread(begun.wait, 60)
        opening.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await opening

    monkeypatch.setattr(assembly, "Resources", make)
    asyncio.run(start())
    if isinstance(made[0].hierarchy, NoHierarchy):
        pytest.skip(f"cgroups ({made[0].hierarchy.reason})")
    assert groups_of(config) == []


def test_a_link_to_another_disk_is_refused_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of the configuration's that is written as a link is not limited where the link lies instead."""
    link = tmp_path / "link"
    link.symlink_to("/usr")
    where = {str(link): Disk(8, 0), "/usr": Disk(8, 16)}
    monkeypatch.setattr(draft, "find_disk", where.__getitem__)
    with pytest.raises(InvalidArgument, match="leads to another disk, that of /usr"):
        draft.check_disks((DiskLimit(str(link), read_bps=5 << 20),))
    where["/usr"] = where[str(link)]
    draft.check_disks((DiskLimit(str(link), read_bps=5 << 20),))
