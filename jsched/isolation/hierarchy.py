"""The server's side of cgroups: which hierarchy this machine offers, chosen once at start.

Machines with controllers in version 1 use that, whatever else is mounted; otherwise version 2
is used, as root or in the subtree that was delegated to the user; otherwise nothing, saying why.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from jsched.isolation.cgroup import Cgroup, from_plan
from jsched.isolation.cgroup_plan import CgroupPlan, Home
from jsched.isolation.cgroupfs import Cgroupfs
from jsched.isolation.draft import Disks, Draft, Planned
from jsched.limits import DISK_RATES, NO_LIMITS, Limits, Unenforced

SWEEP_PATIENCE = 10.0
CONTROLLER_OF = {
    "cpus": "cpu",
    "cpu_weight": "cpu",
    "memory": "memory",
    "swap": "memory",
    "pids": "pids",
    "disk_weight": "io",
    **dict.fromkeys(DISK_RATES, "io"),
}


class NoHierarchy:
    """A machine, or a user, without cgroups; `reason` says why."""

    version = 0

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def plan(self, job_id: str, limits: Limits, *, companions: int = 0) -> Planned:
        """Return a plan that makes nothing and applies nothing."""
        names = [name for name in CONTROLLER_OF if getattr(limits, name, None) is not None]
        names += [rate for rate in DISK_RATES if any(rate in limit.rates for limit in limits.disk)]
        return Planned(None, NO_LIMITS, tuple(Unenforced(name, CONTROLLER_OF[name], self.reason) for name in names))


class Hierarchy(ABC):
    """A place for the cgroups of one server's jobs. Methods raise OSError.

    `fs` is the door to its files; `groups` are the directories, one for each controller, that
    hold those of the jobs, and the places outside of them for the processes of jsched itself: so
    all jobs together weigh as much as these, however many there are.
    """

    version: int

    def __init__(self, fs: Cgroupfs, groups: tuple[Home, ...]) -> None:
        self.fs = fs
        self.groups = groups
        self._disks = Disks()

    @abstractmethod
    def prepare(self) -> None:
        """Make the groups, and see what can be limited in them; once, before anything is planned."""

    @abstractmethod
    def controllers(self) -> frozenset[str]:
        """Return the controllers that there are for a group, before it is made; `io` for blkio too."""

    @abstractmethod
    def draft(self, home: dict[str, str], limits: Limits, companions: int) -> Draft:
        """Return what is to be written into a job's directories, by controller, for its limits."""

    def plan(self, job_id: str, limits: Limits, *, companions: int = 0) -> Planned:
        """Return how a job's cgroup is to be made.

        `companions` is the number of processes that jsched itself has in it for as long as the job
        runs, on top of the job's own. Raises InvalidArgument for a disk that is none.
        """
        cgroup = self._plan(job_id)
        draft = self.draft({home.controller: home.directory for home in cgroup.homes}, limits, companions)
        cgroup = cgroup._replace(
            writes=tuple(draft.writes), entering=tuple(draft.entering), entered=tuple(draft.entered)
        )
        return Planned(cgroup, draft.applied, tuple(draft.unenforced))

    def cgroup(self, job_id: str) -> Cgroup:
        """Return the cgroup of a job, for a look at it or to end it, whether it is there or not."""
        return from_plan(self._plan(job_id))

    def jobs(self) -> set[str]:
        """Return the ids of the jobs that have cgroups here, or parts of them."""
        found: set[str] = set()
        for directory in {group.directory for group in self.groups}:
            with contextlib.suppress(FileNotFoundError):
                found.update(self.fs.directories(directory))
        return found

    def sweep(self, live: Iterable[str]) -> list[str]:
        """Kill and remove the cgroups of jobs that are not live; return their ids. Blocks while they die.

        Raises OSError, after all have been tried, if one of them could not be removed.
        """
        swept = sorted(self.jobs() - set(live))
        problem: OSError | None = None
        for job_id in swept:
            cgroup = self.cgroup(job_id)
            try:
                cgroup.kill_until_empty(SWEEP_PATIENCE)
                cgroup.remove()
            except OSError as error:
                problem = error
        if problem is not None:
            raise problem
        return swept

    @abstractmethod
    def above(self) -> list[str]:
        """Return the directories of the configuration's `parent`, the deepest first."""

    def remove(self) -> None:
        """Remove the groups themselves, if nobody is in them and no job has a cgroup.

        With them go those above that were made for them and are empty.
        """
        for directory in {group.directory for group in self.groups}:
            self._remove_if_unused(directory)
        for directory in self.above():
            if self.fs.is_marked(directory):
                self._remove_if_unused(directory)

    def _remove_if_unused(self, directory: str) -> None:
        try:
            self.fs.remove_directory(directory)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                raise

    def resolve_disks(self, draft: Draft, controller: str) -> None:
        """Have each disk limit name one disk by its number; raises InvalidArgument."""
        asked = draft.applied.disk
        if not asked:
            return
        resolved = self._disks.resolve(asked)
        if not resolved:
            for rate in dict.fromkeys(rate for limit in asked for rate in limit.rates):
                draft.drop(rate, controller, "this machine has no disk")
        draft.applied = replace(draft.applied, disk=resolved)

    def _plan(self, job_id: str) -> CgroupPlan:
        homes = tuple(group._replace(directory=f"{group.directory}/{job_id}") for group in self.groups)
        return CgroupPlan(self.version, self.fs.root, homes)


def group_name(data_dir: Path) -> str:
    """Return the name of a server's group, the same after a restart, and another for each data directory."""
    return f"jsched-{hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]}"
