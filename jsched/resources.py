"""What jobs may use on this machine: from limits to a job's cgroup, and from its cgroup to its usage."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from jsched.config import Config
from jsched.errors import FailedPrecondition
from jsched.isolation.cgroup_plan import CgroupLoad, CgroupUsage
from jsched.isolation.discovery import discover
from jsched.isolation.draft import Planned, check_disks, check_limited_once
from jsched.isolation.hierarchy import Hierarchy, NoHierarchy, group_name
from jsched.job import Usage
from jsched.limits import DISK_RATES, Limits, Unenforced, check_least_rates
from jsched.profile import REPORT, fit
from jsched.stats import Load

N = TypeVar("N", int, float)
_LOG = logging.getLogger(__name__)
_PATIENCE = 10.0
# A policy that is read again may have others: those of before are not kept for ever.
_MOST_PROFILES = 256


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A profile as this machine has it, and which of its limits it lacks."""

    limits: Limits
    lacking: tuple[Unenforced, ...]


class Resources:
    """The cgroups of one server's jobs, if this machine has any; blocking, like all that reads cgroups.

    Made once, when the server starts: what the machine offers then is what jobs get.
    """

    def __init__(self, config: Config, hierarchy: Hierarchy | NoHierarchy | None = None) -> None:
        """Make the server's own group; raises InvalidArgument, with no group left, for a disk of the defaults."""
        self.hierarchy = hierarchy or _hierarchy(config)
        self._report = config.limits.unenforceable == REPORT
        self._enabled = config.limits.enabled
        self._own = config.limits.default
        self._fitted: dict[Limits, _Fitted] = {}
        try:
            if isinstance(self.hierarchy, Hierarchy):
                check_disks(self._own.disk)
                check_limited_once(self._own.disk)
            self._fit(self._own)
        except BaseException:
            self.close()
            raise
        if not self._enabled:
            _LOG.info("limits are disabled by the configuration: jobs get none")

    def plan(self, job_id: str, asked: Limits, *, companions: int = 0, profile: Limits | None = None) -> Planned:
        """Return how a job's cgroup is to be made, which limits that applies, and which it should and does not.

        `companions` is the number of processes that jsched itself has in the cgroup while the job runs,
        `profile` the limits of a job that asks for none, if they are not the configuration's.
        Raises FailedPrecondition naming the controller if a limit that was asked for can't be
        applied and the configuration does not say that this is to be reported, and
        InvalidArgument for a disk that is none, one that is limited twice, or a rate that would hold up others.
        """
        check_least_rates(asked)
        if isinstance(self.hierarchy, Hierarchy):
            check_limited_once(asked.disk)
        default = self._fit(self._own if profile is None else profile)
        planned = self.hierarchy.plan(job_id, asked.over(default.limits), companions=companions)
        if planned.unenforced and not self._report:
            one = planned.unenforced[0]
            raise FailedPrecondition(
                f"{one.limit} can't be limited on this host: controller {one.controller}: {one.reason}",
                obj=one.limit,
                hint="leave that limit out",
            )
        named = {one.limit for one in planned.unenforced}
        lacking = tuple(one for one in default.lacking if one.limit not in named and not _asks(asked, one.limit))
        return replace(planned, unenforced=planned.unenforced + lacking)

    def _fit(self, profile: Limits) -> _Fitted:
        """Return what this machine has of a profile; worked out once."""
        known = self._fitted.get(profile)
        if known is not None:
            return known
        limits, changes = fit(profile, os.cpu_count() or 1, _machine_memory())
        for change in changes if self._enabled else ():
            _LOG.info("default limits: %s", change)
        # Nobody has asked for these, so a job is not refused for the want of them, but told.
        lacking = self.hierarchy.plan("", limits).unenforced
        for one in lacking:
            limits = limits.without(one.limit)
            if self._enabled:
                _LOG.warning("default limits: %s can't be applied: %s: %s", one.limit, one.controller, one.reason)
        if len(self._fitted) >= _MOST_PROFILES:
            self._fitted.clear()
        self._fitted[profile] = fitted = _Fitted(limits, lacking)
        return fitted

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

    def load(self, job_ids: Iterable[str]) -> Load:
        """Return what running jobs use together, as far as they have cgroups that tell."""
        if isinstance(self.hierarchy, NoHierarchy):
            return Load()
        told = [load for job_id in job_ids if (load := self._load_of(self.hierarchy, job_id)) is not None]
        return Load(
            len(told),
            cpu=_total(one.cpu for one in told),
            memory=_total(one.memory for one in told),
            pids=_total(one.pids for one in told),
        )

    def _load_of(self, hierarchy: Hierarchy, job_id: str) -> CgroupLoad | None:
        try:
            load = hierarchy.cgroup(job_id).load()
        except OSError as error:
            _LOG.debug("job %s: its load can't be read: %s", job_id, error)
            return None
        return None if load == CgroupLoad(None, None, None) else load

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


def _hierarchy(config: Config) -> Hierarchy | NoHierarchy:
    if not config.limits.enabled:
        return NoHierarchy("the server's configuration has limits disabled")
    return discover(group_name(config.data_dir), config.limits.parent)


def _total(values: Iterable[N | None]) -> N | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


def _asks(limits: Limits, name: str) -> bool:
    if name in DISK_RATES:
        return any(name in limit.rates for limit in limits.disk)
    return getattr(limits, name) is not None


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
