"""Version 2: one hierarchy for all controllers. Source: Documentation/admin-guide/cgroup-v2.rst."""

from __future__ import annotations

import contextlib
import os
import posixpath

from jsched.isolation.cgroup_plan import Home
from jsched.isolation.cgroupfs import Cgroupfs
from jsched.isolation.conversion import quota_and_period, weight_to_bfq
from jsched.isolation.draft import Draft
from jsched.isolation.hierarchy import Hierarchy
from jsched.limits import DISK_RATES, Limits
from jsched.linux.disks import real_disks, scheduler

CONTROLLERS = ("cpu", "memory", "io", "pids")

# What the leaf for the processes of jsched itself has after the group's name: nobody may be in a
# cgroup that has cgroups with controllers below.
OWN = "-own"
# Beside 100 of the group of all jobs: what a server and monitors do is short, and somebody waits for it.
_OWN_WEIGHT = "1000"

_RATES = dict(zip(DISK_RATES, ("rbps", "wbps", "riops", "wiops"), strict=True))


class HierarchyV2(Hierarchy):
    """The cgroup `group` below `mount_point`; the controllers are handed down to it from `top`.

    `top` and `group` are relative to the mount point, and `group` is below `top`: the root of the
    hierarchy, or what was delegated to the user. `subgroup` is the cgroup in there that the server was
    started in, if it was in one.
    """

    version = 2

    def __init__(self, mount_point: str, top: str, group: str, subgroup: str | None = None) -> None:
        super().__init__(Cgroupfs(mount_point.rstrip("/")), (Home("", group, group + OWN),))
        self._top = top
        self._group = group
        self._subgroup = subgroup
        self._files: frozenset[str] = frozenset()
        self._missing: dict[str, str] = {}

    def prepare(self) -> None:
        """Make the group and a leaf for our own processes, which come first, and hand the controllers down to the jobs.

        This process moves into the leaf if it is in a cgroup on the way: in such a one nobody may be.
        """
        way = self._way()
        own_leaf = self._group + OWN
        for directory in (*way[1:], own_leaf):
            self.fs.make_marked(directory)
        if any(self._are_we_in(directory) for directory in way):
            self.fs.write(f"{own_leaf}/cgroup.procs", "0")
        for directory in way:
            self._hand_down(directory)
        for leaf in filter(None, (own_leaf, self._subgroup)):
            # The controller may not be there; jobs and their limits do without.
            with contextlib.suppress(OSError):
                self.fs.write(f"{leaf}/cpu.weight", _OWN_WEIGHT)
        self._files = frozenset(self.fs.names(self._group))

    def remove(self) -> None:
        """Remove the group, and the leaf if nobody is in it."""
        # It lies beside the group, and so in the way of the removal of what is above.
        self._remove_if_unused(self._group + OWN)
        super().remove()

    def above(self) -> list[str]:
        """Return the directories between the group and the top, the deepest first."""
        return self._way()[-2:0:-1]

    def controllers(self) -> frozenset[str]:
        """Return the controllers that come down to the top, where the group is to be."""
        available = self.fs.read(posixpath.join(self._top, "cgroup.controllers")).split()
        return frozenset(available) & frozenset(CONTROLLERS)

    def draft(self, home: dict[str, str], limits: Limits, companions: int) -> Draft:
        """Return the writes for a job's directory."""
        draft = Draft(limits)
        directory = home[""]
        self._cpu(draft, directory)
        self._memory(draft, directory)
        if draft.applied.pids is not None and self._has(draft, "pids", "pids", "pids.max"):
            draft.write_pids(f"{directory}/pids.max", draft.applied.pids + companions)
        self._disk(draft, directory)
        self._disk_weight(draft, directory)
        return draft

    def _way(self) -> list[str]:
        """Return the directories from the top to the group, both included."""
        way = [self._top]
        for name in posixpath.relpath(self._group, self._top or ".").split("/"):
            way.append(posixpath.join(way[-1], name))
        return way

    def _are_we_in(self, directory: str) -> bool:
        # The root of the hierarchy is the one that may have both; only there is no type.
        if not self.fs.has(posixpath.join(directory, "cgroup.type")):
            return False
        return str(os.getpid()) in self.fs.read(posixpath.join(directory, "cgroup.procs")).split()

    def _hand_down(self, directory: str) -> None:
        """Enable what there is of our controllers for those below a directory; remember what could not be."""
        available = self.fs.read(posixpath.join(directory, "cgroup.controllers")).split()
        control = posixpath.join(directory, "cgroup.subtree_control")
        enabled = self.fs.read(control).split()
        for controller in CONTROLLERS:
            if controller in enabled or controller in self._missing:
                continue
            if controller not in available:
                self._missing[controller] = f"the controller is not available in {self.fs.path(directory)}"
                continue
            try:
                self.fs.write(control, f"+{controller}")
            except OSError as error:
                self._missing[controller] = f"{error.filename}: {error.strerror}"

    def _has(self, draft: Draft, limit: str, controller: str, file: str) -> bool:
        """Return whether there is such a file; if not, the limit is dropped."""
        if file in self._files and controller not in self._missing:
            return True
        draft.drop(limit, controller, self._missing.get(controller, f"the kernel has no {file}"))
        return False

    def _cpu(self, draft: Draft, directory: str) -> None:
        cpus, weight = draft.applied.cpus, draft.applied.cpu_weight
        if cpus is not None and self._has(draft, "cpus", "cpu", "cpu.max"):
            draft.write(f"{directory}/cpu.max", "{} {}".format(*quota_and_period(cpus)))
        if weight is not None and self._has(draft, "cpu_weight", "cpu", "cpu.weight"):
            draft.write(f"{directory}/cpu.weight", weight)

    def _memory(self, draft: Draft, directory: str) -> None:
        memory, swap = draft.applied.memory, draft.applied.swap
        if memory is not None and self._has(draft, "memory", "memory", "memory.max"):
            draft.write(f"{directory}/memory.max", memory)
        if swap is not None:
            if self._has(draft, "swap", "memory", "memory.swap.max"):
                draft.write(f"{directory}/memory.swap.max", swap)
        elif draft.applied.memory is not None and "memory.swap.max" in self._files:
            draft.write(f"{directory}/memory.swap.max", 0)
        if "memory.oom.group" in self._files and "memory" not in self._missing:
            draft.write(f"{directory}/memory.oom.group", 1)

    def _disk(self, draft: Draft, directory: str) -> None:
        for rate in DISK_RATES:
            if any(rate in limit.rates for limit in draft.applied.disk):
                self._has(draft, rate, "io", "io.max")
        self.resolve_disks(draft, "io")
        for limit in draft.applied.disk:
            rates = (f"{_RATES[rate]}={value}" for rate, value in limit.rates.items())
            draft.write(f"{directory}/io.max", " ".join((limit.device, *rates)))

    def _disk_weight(self, draft: Draft, directory: str) -> None:
        weight = draft.applied.disk_weight
        if weight is None:
            return
        schedulers = {scheduler(disk) for disk in real_disks()}
        if "bfq" in schedulers and "io.bfq.weight" in self._files and "io" not in self._missing:
            draft.write(f"{directory}/io.bfq.weight", weight_to_bfq(weight))
        elif self._has(draft, "disk_weight", "io", "io.weight"):
            if not self._cost_is_on():
                draft.drop("disk_weight", "io", "no disk has the I/O scheduler bfq, nor io.cost.qos enabled")
                return
            draft.write(f"{directory}/io.weight", f"default {weight}")

    def _cost_is_on(self) -> bool:
        return "enable=1" in (self.fs.read_if_there("io.cost.qos") or "")
