"""What has to be known of a job before it is written down: its limits and its walls."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from datetime import UTC, datetime

from jsched.config import Config
from jsched.confiner import Confined, Confiner
from jsched.isolation.draft import Planned
from jsched.job import Job, JobSpec
from jsched.library import RootfsLibrary
from jsched.live import LiveJob
from jsched.resources import Resources
from jsched.state import JobState
from jsched.terms import Terms


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that can be started, with how its cgroup is to be made and how it is walled in."""

    job: Job
    planned: Planned
    confined: Confined


class Preparation:
    """Thinks out limits and walls, as plain values: nothing is made."""

    def __init__(self, config: Config, resources: Resources, confiner: Confiner, trees: RootfsLibrary) -> None:
        self._config = config
        self._resources = resources
        self._confiner = confiner
        self._trees = trees

    async def prepare(self, live: LiveJob, spec: JobSpec, terms: Terms) -> Prepared:
        """Return a job that can be started; raises what `Confiner.plan` and `Resources.plan` do, and NotFound."""
        confined = await self._confine(live, spec, terms)
        planned = await self._plan(live.id, spec, terms, companions=int(confined.sandbox is not None))
        job = Job(
            live.id,
            spec,
            live.owner,
            JobState.PENDING,
            created_at=datetime.now(UTC),
            log_path=str(self._config.log_path(live.id)),
            applied=planned.applied,
            unenforced=planned.unenforced,
            walls=confined.walls,
        )
        return Prepared(job, planned, confined)

    async def _plan(self, job_id: str, spec: JobSpec, terms: Terms, companions: int) -> Planned:
        """Return how the job's limits are applied; a path may lie on a file system that does not answer."""
        plan = functools.partial(
            self._resources.plan, job_id, spec.limits, companions=companions, profile=terms.profile
        )
        return await asyncio.to_thread(plan) if spec.limits.disk else plan()

    async def _confine(self, live: LiveJob, spec: JobSpec, terms: Terms) -> Confined:
        """Return the job's walls; what is asked for may lie on a file system that does not answer."""
        asked = spec.confinement
        plan = functools.partial(self._confiner.plan, asked, granted=terms.rules)
        if asked.rootfs is not None:
            with self._trees.hold(asked.rootfs, visible_to=terms.rootfs_of) as rootfs:
                # From now on it is known to be in use.
                live.rootfs = rootfs.digest
            plan = functools.partial(plan, tree=self._trees.path(rootfs.digest), digest=rootfs.digest)
        return await asyncio.to_thread(plan) if asked.binds else plan()
