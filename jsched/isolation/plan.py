"""The walls, as a list of steps in the order in which init takes them.

The order matters: namespaces before mounts, mounts before the old root is out of reach, everything that needs
a privilege before privileges go, the filter of system calls last of all walls. A step that fails is told by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jsched.isolation import credentials, devices, layers, mounts, surroundings
from jsched.isolation.sandbox import NONE, ROOTFS, Sandbox
from jsched.isolation.site import Site


def _always(sandbox: Sandbox) -> bool:
    return True


class Step(NamedTuple):
    """A wall: the name by which its failure is told, what it does, and in which sandboxes it is there.

    The first sentence of what it does is its description.
    """

    name: str
    take: Callable[[Site], None]
    applies: Callable[[Sandbox], bool] = _always

    def describe(self) -> str:
        """Return what the step does, in one sentence."""
        return (self.take.__doc__ or "").partition("\n")[0]


WALLS = (
    Step("monitor", surroundings.forget_monitor),
    Step("session", surroundings.start_session),
    Step("oom", surroundings.volunteer_for_memory_shortage),
    Step("cgroup", surroundings.join_cgroup),
    Step("cgroup-namespace", surroundings.enter_cgroup_namespace),
    Step("loopback", surroundings.raise_loopback, lambda sandbox: sandbox.network == NONE),
    Step("hostname", surroundings.set_hostname),
    Step("sources", mounts.open_sources, lambda sandbox: bool(sandbox.rootfs or sandbox.binds)),
    # Before nodev is set everywhere.
    Step("devices", devices.take_devices),
    Step("mounts", mounts.make_private),
    # What came before needs no ids, and is done while the monitor writes the maps.
    Step("maps", credentials.wait_for_maps),
    Step("scratch", mounts.make_scratch),
    Step("root", layers.make_root, lambda sandbox: sandbox.mode == ROOTFS),
    Step("dev", devices.make_dev),
    Step("proc", mounts.make_proc),
    Step("writable", mounts.make_writable),
    Step("hide", mounts.hide),
    Step("bind", mounts.bind, lambda sandbox: bool(sandbox.binds)),
    Step("pivot", mounts.pivot, lambda sandbox: sandbox.mode == ROOTFS),
    Step("limits", surroundings.set_limits),
    Step("bounding-set", credentials.drop_bounding_set),
    Step("user", credentials.become_user),
    Step("capabilities", credentials.drop_capabilities),
    Step("parent-death", surroundings.die_with_monitor),
    Step("dumpable", credentials.become_undumpable),
    Step("no-new-privileges", credentials.forbid_new_privileges),
    Step("seccomp", surroundings.filter_system_calls, lambda sandbox: bool(sandbox.seccomp)),
)

# What depends on the job alone, and needs no privilege: a spare init takes these when its job has come.
LAST_STEPS = (
    Step("workdir", surroundings.enter_workdir),
    Step("stdio", surroundings.set_stdio),
    Step("descriptors", surroundings.close_descriptors),
)


def describe(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return the name and the description of each step for this sandbox, in order."""
    return [(step.name, step.describe()) for step in steps(sandbox)]


def steps(sandbox: Sandbox) -> tuple[Step, ...]:
    """Return the steps that are taken for this sandbox, in order."""
    return tuple(step for step in (*WALLS, *LAST_STEPS) if step.applies(sandbox))
