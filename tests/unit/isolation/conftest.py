"""A real hierarchy of this machine, of whichever version, and jobs in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from jsched.isolation.cgroup import Cgroup, from_plan
from jsched.isolation.hierarchy import Hierarchy
from jsched.limits import Limits
from tests.helpers.cgroups import Monitor
from tests.helpers.hierarchy import own_hierarchy


@pytest.fixture
def hierarchy() -> Iterator[Hierarchy]:
    """A group of the test's own, which is gone afterwards with all in it."""
    with own_hierarchy() as hierarchy:
        yield hierarchy


@pytest.fixture
def start(hierarchy: Hierarchy) -> Iterator[Callable[..., tuple[Cgroup, Monitor]]]:
    """Start a command in a new cgroup with limits."""
    monitors: list[Monitor] = []

    def start(limits: Limits, *argv: str) -> tuple[Cgroup, Monitor]:
        planned = hierarchy.plan(str(uuid.uuid4()), limits)
        if planned.unenforced:
            pytest.skip(f"limits in this kernel ({planned.unenforced[0]})")
        assert planned.cgroup is not None
        monitors.append(Monitor(planned.cgroup, *argv))
        return from_plan(planned.cgroup), monitors[-1]

    yield start
    hierarchy.sweep(())
    for monitor in monitors:
        monitor.process.kill()
        monitor.wait()
