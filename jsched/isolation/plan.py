"""The walls, as a list of steps in the order in which init takes them.

The order matters: namespaces before mounts, mounts before the old root is out of reach, everything that needs
a privilege before privileges go, the filter of system calls last. A step that fails is told by its name. What the
cgroup takes, that comes with the order, is given up when it has come.

What the jobs of one sandbox may have in common stands first, so that a forker can take these steps once for
them all. What each has of its own is prepared before init is forked.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NamedTuple

from jsched.isolation import credentials, devices, launch, layers, mounts, room, surroundings
from jsched.isolation.room import Room
from jsched.isolation.sandbox import HOST, NONE, ROOTFS, Sandbox
from jsched.isolation.site import Site
from jsched.linux.prepared import Failed


def _always(sandbox: Sandbox) -> bool:
    return True


class Step(NamedTuple):
    """A wall: the name by which its failure is told, what it does, and in which sandboxes it is there.

    The first sentence of what it does is its description.
    """

    name: str
    take: Callable[[Site], None]
    applies: Callable[[Sandbox], bool] = _always


class Prepared(NamedTuple):
    """A wall that is prepared: `add` adds its calls to a room; the rest is as in Step."""

    name: str
    add: Callable[[Room], None]
    applies: Callable[[Sandbox], bool] = _always


# None of it is written to by a job, or tells it of another.
COMMON = (
    Step("monitor", surroundings.forget_monitor),
    Step("session", surroundings.start_session),
    Step("oom", surroundings.volunteer_for_memory_shortage),
    Step("cgroup", surroundings.join_cgroup),
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
    Step("hide", mounts.hide),
    Step("hide-kernel", mounts.hide_kernel, lambda sandbox: sandbox.mode == HOST),
    Step("limits", surroundings.set_limits),
    Step("bounding-set", credentials.drop_bounding_set),
    Step("no-new-privileges", credentials.forbid_new_privileges),
)

# What an init that was forked behind common walls takes in their place: nothing that is written to is another's.
FRESH = (
    Prepared("init", room.take_name),
    Prepared("session", room.start_session),
    Prepared("scratch", room.renew_scratch),
)

INNER = (
    Prepared("cgroup-namespace", room.enter_cgroup_namespace),
    Prepared("loopback", room.raise_loopback, lambda sandbox: sandbox.network == NONE),
    Prepared("terminals", room.make_terminals),
    Prepared("proc", room.make_proc),
    Prepared("writable", room.make_writable),
)

# Where the job's root is another's tree there is something to look at before each call.
PLACED = (
    Step("bind", mounts.bind, lambda sandbox: bool(sandbox.binds)),
    Step("pivot", mounts.pivot, lambda sandbox: sandbox.mode == ROOTFS),
)

LOCKS = (
    Prepared("user", room.become_user),
    Prepared("capabilities", room.drop_capabilities),
    Prepared("parent-death", room.die_with_monitor),
    Prepared("dumpable", room.become_undumpable),
    Prepared("seccomp", room.filter_system_calls, lambda sandbox: bool(sandbox.seccomp)),
    Prepared("ready", room.tell_monitor),
)

# When the order has come, and init is in the cgroups that came with it.
LAST = (
    Prepared("last-capability", room.drop_last_capability, lambda sandbox: sandbox.has_user_namespace),
    Prepared("last-filter", room.refuse_cgroup_namespaces, lambda sandbox: bool(sandbox.seccomp)),
)

_PARTS = (("fresh", FRESH), ("inner", INNER), ("locks", LOCKS), ("last", LAST))


def prepare(sandbox: Sandbox, program: bytes, *, privileged: bool) -> Room:
    """Return the calls of all prepared steps, with the compiled filter `program`.

    Raises Failed for a sandbox that must not be.
    """
    made = Room(sandbox, program, privileged=privileged)
    for part, steps in _PARTS:
        made.calls.part = part
        for step in steps:
            if step.applies(sandbox):
                made.calls.step = step.name
                try:
                    step.add(made)
                except OSError as error:
                    raise Failed(step.name, error.errno or errno.EIO) from error
    return made


def describe(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return the name and the description of each step for this sandbox, in order."""
    walls = [step for step in (*COMMON, *INNER, *PLACED, *LOCKS, *LAST) if step.applies(sandbox)]
    described = [(step.name, step.take if isinstance(step, Step) else step.add) for step in walls]
    return [(name, (what.__doc__ or "").partition("\n")[0]) for name, what in (*described, *launch.STEPS)]
