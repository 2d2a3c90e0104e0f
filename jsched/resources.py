"""What jobs may use on this machine: from limits to a job's cgroup, and from its cgroup to its usage."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import replace

from jsched.config import Config
from jsched.errors import FailedPrecondition, InvalidArgument
from jsched.isolation.cgroup import CgroupUsage
from jsched.isolation.discovery import discover
from jsched.isolation.draft import Planned
from jsched.isolation.hierarchy import Hierarchy, NoHierarchy, group_name
from jsched.job import Usage
from jsched.limits import DISK_RATES, Limits
from jsched.profile import REPORT, fit

_LOG = logging.getLogger(__name__)
_PATIENCE = 10.0
# One read ahead of the kernel's, 128 KiB, passes in an eighth of a second.
LEAST_RATES = {"read_bps": 1 << 20, "write_bps": 1 << 20, "read_iops": 50, "write_iops": 50}


class Resources:
    """The cgroups of one server's jobs, if this machine has any; blocking, like all that reads cgroups.

    Made once, when the server starts: what the machine offers then is what jobs get.
    """

    def __init__(self, config: Config, hierarchy: Hierarchy | NoHierarchy | None = None) -> None:
        self.hierarchy = hierarchy or _hierarchy(config)
        self._report = config.limits.unenforceable == REPORT
        self.profile, changes = fit(config.limits.default, os.cpu_count() or 1, _machine_memory())
        for change in changes if config.limits.enabled else ():
            _LOG.info("default limits: %s", change)
        # Nobody has asked for these, so a job is not refused for the want of them, but told.
        self._lacking = self.hierarchy.plan("", self.profile).unenforced
        for one in self._lacking:
            self.profile = self.profile.without(one.limit)
            if config.limits.enabled:
                _LOG.warning("default limits: %s can't be applied: %s: %s", one.limit, one.controller, one.reason)
        if not config.limits.enabled:
            _LOG.info("limits are disabled by the configuration: jobs get none")

    def plan(self, job_id: str, asked: Limits, *, companions: int = 0) -> Planned:
        """Return how a job's cgroup is to be made, which limits that applies, and which it should and does not.

        `companions` is the number of processes that jsched itself has in the cgroup while the job runs.
        Raises FailedPrecondition naming the controller if a limit that was asked for can't be
        applied and the configuration does not say that this is to be reported, and
        InvalidArgument for a disk that is none, or a rate that would hold up others.
        """
        _check_rates(asked)
        planned = self.hierarchy.plan(job_id, asked.over(self.profile), companions=companions)
        if planned.unenforced and not self._report:
            one = planned.unenforced[0]
            raise FailedPrecondition(
                f"{one.limit} can't be limited on this host: controller {one.controller}: {one.reason}",
                obj=one.limit,
                hint="leave that limit out",
            )
        named = {one.limit for one in planned.unenforced}
        lacking = tuple(one for one in self._lacking if one.limit not in named and not _asks(asked, one.limit))
        return replace(planned, unenforced=planned.unenforced + lacking)

    def usage(self, job_id: str) -> Usage | None:
        """Return what a running job has used so far, None if it has no cgroup."""
        if isinstance(self.hierarchy, NoHierarchy):
            return None
        try:
            used = self.hierarchy.cgroup(job_id).usage()
        except OSError as error:
            # Removed between two looks: the job has just ended.
            _LOG.debug("job %s: its usage can't be read: %s", job_id, error)
            return None
        return None if used == CgroupUsage() else Usage(**used._asdict())

    def end(self, job_id: str) -> bool:
        """Kill what is left in a job's cgroup and remove it; return whether nothing is left.

        For a job whose monitor is gone; what is not there is no error.
        """
        if isinstance(self.hierarchy, NoHierarchy):
            return True
        cgroup = self.hierarchy.cgroup(job_id)
        try:
            empty = cgroup.kill_until_empty(_PATIENCE)
            cgroup.remove()
        except OSError as error:
            _LOG.warning("job %s: its cgroup can't be removed: %s", job_id, error)
            return False
        return empty

    def sweep(self, live: Iterable[str]) -> None:
        """Kill and remove the cgroups of jobs that are not live, which an earlier server has left behind."""
        if isinstance(self.hierarchy, NoHierarchy):
            return
        try:
            for job_id in self.hierarchy.sweep(live):
                _LOG.warning("job %s: a cgroup that was left of it has been removed", job_id)
        except OSError as error:
            _LOG.warning("a cgroup that was left behind can't be removed: %s", error)

    def close(self) -> None:
        """Remove the server's own group if no job runs in it; running jobs keep theirs."""
        if isinstance(self.hierarchy, Hierarchy):
            try:
                self.hierarchy.remove()
            except OSError as error:
                _LOG.warning("the server's cgroup can't be removed: %s", error)


def _check_rates(asked: Limits) -> None:
    """Refuse a rate so low that others wait: a page that one reads is locked for all who want it too."""
    for disk in asked.disk:
        for name, rate in disk.rates.items():
            least = LEAST_RATES[name]
            if rate < least:
                raise InvalidArgument(f"{name} is {rate}, less than {least} a second", obj="disk")


def _hierarchy(config: Config) -> Hierarchy | NoHierarchy:
    if not config.limits.enabled:
        return NoHierarchy("the server's configuration has limits disabled")
    return discover(group_name(config.data_dir), config.limits.parent)


def _asks(limits: Limits, name: str) -> bool:
    if name in DISK_RATES:
        return any(name in limit.rates for limit in limits.disk)
    return getattr(limits, name) is not None


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
