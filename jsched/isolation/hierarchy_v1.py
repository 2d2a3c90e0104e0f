"""Version 1: a hierarchy for each controller, or for a few. Source: Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import replace

from jsched.isolation.cgroup_plan import Home
from jsched.isolation.cgroupfs import Cgroupfs
from jsched.isolation.conversion import quota_and_period, weight_to_bfq, weight_to_blkio, weight_to_shares
from jsched.isolation.draft import Draft
from jsched.isolation.hierarchy import Hierarchy
from jsched.limits import DISK_RATES, Limits
from jsched.linux.cgroups import CgroupMount
from jsched.linux.disks import real_disks, scheduler

# In the order in which they are entered: the CPU's late, so that a small quota does not hold up the
# rest. The freezer is last: it is the one that is looked at to see whether anybody is there.
CONTROLLERS = ("blkio", "pids", "cpuacct", "memory", "cpu", "freezer")

# TCP and UDP, whose memory all of the host shares; deprecated, because version 2 counts it as any other.
_SOCKETS = "memory.kmem.tcp.limit_in_bytes"
_THROTTLES = {rate: f"blkio.throttle.{rate}_device" for rate in DISK_RATES}


class HierarchyV1(Hierarchy):
    """The controllers of `mounts`, each with a group `group` (relative to each mount point)."""

    version = 1

    def __init__(self, mounts: Iterable[CgroupMount], group: str) -> None:
        points = {name: mount.mount_point for mount in mounts for name in mount.controllers if name in CONTROLLERS}
        root = os.path.commonpath([os.path.dirname(point) for point in points.values()])
        inner = {name: os.path.relpath(points[name], root) for name in CONTROLLERS if name in points}
        groups = tuple(Home(name, f"{point}/{group}", point) for name, point in inner.items())
        super().__init__(Cgroupfs(root.rstrip("/")), groups)
        self._group = group
        self._most_cpus = math.inf
        self._files: dict[str, frozenset[str]] = {}

    def prepare(self) -> None:
        """Make a group in each hierarchy, with those above it, and see which files the kernel has there."""
        for controller, directory, above in self.groups:
            for name in (*reversed(self._above(directory)), directory):
                self.fs.make_marked(name)
            self._files[controller] = frozenset(self.fs.names(directory))
            if controller == "cpu":
                self._most_cpus = self._cpus_above(above)

    def above(self) -> list[str]:
        """Return the directories between the groups and the mount points, the deepest first."""
        directories = dict.fromkeys(group.directory for group in self.groups)
        return [name for directory in directories for name in self._above(directory)]

    def _above(self, directory: str) -> list[str]:
        return [directory.rsplit("/", steps)[0] for steps in range(1, self._group.count("/") + 1)]

    def controllers(self) -> frozenset[str]:
        """Return the controllers that are mounted; `io` for blkio too."""
        return frozenset("io" if group.controller == "blkio" else group.controller for group in self.groups)

    def draft(self, home: dict[str, str], limits: Limits, companions: int) -> Draft:
        """Return the writes for a job's directories, by controller."""
        draft = Draft(limits)
        self._cpu(draft, home)
        self._memory(draft, home)
        self._pids(draft, home, companions)
        self._disk(draft, home)
        self._disk_weight(draft, home)
        return draft

    def _has(self, draft: Draft, limit: str, controller: str, file: str) -> bool:
        """Return whether there is such a file; if not, the limit is dropped."""
        if file in self._files.get(controller, ()):
            return True
        missing = f"the kernel has no {file}" if controller in self._files else "the controller is not mounted"
        draft.drop(limit, controller, missing)
        return False

    def _cpu(self, draft: Draft, home: dict[str, str]) -> None:
        cpus, weight = draft.applied.cpus, draft.applied.cpu_weight
        if cpus is not None and self._has(draft, "cpus", "cpu", "cpu.cfs_quota_us"):
            if cpus > self._most_cpus:
                # The kernel refuses more than there is above, as in a container that is limited itself.
                cpus = self._most_cpus
                draft.applied = replace(draft.applied, cpus=cpus)
            quota, period = quota_and_period(cpus)
            draft.write(f"{home['cpu']}/cpu.cfs_period_us", period)
            draft.write(f"{home['cpu']}/cpu.cfs_quota_us", quota)
        if weight is not None and self._has(draft, "cpu_weight", "cpu", "cpu.shares"):
            draft.write(f"{home['cpu']}/cpu.shares", weight_to_shares(weight))

    def _cpus_above(self, directory: str) -> float:
        quota = int(self.fs.read_if_there(f"{directory}/cpu.cfs_quota_us") or -1)
        period = int(self.fs.read_if_there(f"{directory}/cpu.cfs_period_us") or 0)
        return quota / period if quota > 0 and period > 0 else math.inf

    def _memory(self, draft: Draft, home: dict[str, str]) -> None:
        memory, swap = draft.applied.memory, draft.applied.swap
        if memory is not None and self._has(draft, "memory", "memory", "memory.limit_in_bytes"):
            draft.write(f"{home['memory']}/memory.limit_in_bytes", memory)
            # What lies in sockets is not counted above, and nobody has asked for it by name.
            if _SOCKETS in self._files["memory"]:
                draft.write(f"{home['memory']}/{_SOCKETS}", memory)
        if swap is not None and draft.applied.memory is None:
            draft.drop("swap", "memory", "swap can only be limited together with memory")
            return
        counted = "memory.memsw.limit_in_bytes"
        if draft.applied.memory is None or (swap is None and counted not in self._files["memory"]):
            return
        if swap is None or self._has(draft, "swap", "memory", counted):
            draft.write(f"{home['memory']}/{counted}", draft.applied.memory + (swap or 0))

    def _pids(self, draft: Draft, home: dict[str, str], companions: int) -> None:
        pids = draft.applied.pids
        if pids is not None and self._has(draft, "pids", "pids", "pids.max"):
            draft.write_pids(f"{home['pids']}/pids.max", pids + companions)

    def _disk(self, draft: Draft, home: dict[str, str]) -> None:
        for rate in DISK_RATES:
            if any(rate in limit.rates for limit in draft.applied.disk):
                self._has(draft, rate, "blkio", _THROTTLES[rate])
        self.resolve_disks(draft, "blkio")
        for limit in draft.applied.disk:
            for rate, value in limit.rates.items():
                draft.write(f"{home['blkio']}/{_THROTTLES[rate]}", f"{limit.device} {value}")

    def _disk_weight(self, draft: Draft, home: dict[str, str]) -> None:
        weight = draft.applied.disk_weight
        if weight is None:
            return
        if "blkio.weight" in self._files.get("blkio", ()):
            draft.write(f"{home['blkio']}/blkio.weight", weight_to_blkio(weight))
        elif self._has(draft, "disk_weight", "blkio", "blkio.bfq.weight"):
            if not any(scheduler(disk) == "bfq" for disk in real_disks()):
                draft.drop("disk_weight", "blkio", "no disk has the I/O scheduler bfq")
                return
            draft.write(f"{home['blkio']}/blkio.bfq.weight", weight_to_bfq(weight))
