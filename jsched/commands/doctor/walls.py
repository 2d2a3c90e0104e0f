"""The walls around jobs: whether they can be built here, and what they are."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from jsched.commands.doctor.finding import Finding, fail, ok, warn
from jsched.config import Config
from jsched.confinement import Mode
from jsched.environment import home_directory
from jsched.errors import JschedError, Unavailable
from jsched.isolation import ids, plan, seccomp
from jsched.isolation.accounts import regular_homes
from jsched.isolation.homes import homes_to_cover
from jsched.isolation.ids import Ids
from jsched.isolation.trial import try_walls_apart
from jsched.isolation.view import sandbox_of_host, sandbox_of_tree
from jsched.linux.seccomp import INSTRUCTION_SIZE

_LIMITS = Path("/proc/sys/user")
_CLONE = "clone"
# No job is there yet, or has come so far.
_SLOT = ids.SLOTS - 1


def filter_of_calls(config: Config) -> Finding:
    """Whether system calls can be filtered."""
    try:
        program = seccomp.compile_profile()
    except JschedError as error:
        return _no_walls(config, "system calls", error.message, error.hint or "run jobs on another machine")
    return ok("system calls", f"filtered by {len(program) // INSTRUCTION_SIZE} instructions")


def isolation(config: Config) -> Finding:
    """Whether the walls of the host mode stand here."""
    if not _has_walls(config):
        return ok("isolation", "jobs have no walls: the configuration allows no other mode")
    try:
        homes = homes_to_cover(home_directory(), regular_homes())
        failure = try_walls_apart(sandbox_of_host(_ids(), config.private, homes=homes))
        if failure is None:
            return ok("isolation", f"all walls stand; {_whom(_ids())}")
        weaker = sandbox_of_host(ids.without_user_namespace(_SLOT), config.private, homes=homes)
        has_weaker = os.geteuid() == 0 and try_walls_apart(weaker) is None
    except Unavailable as error:
        return fail("isolation", error.message, error.hint)
    step, number = failure
    text = f"{step}: {os.strerror(number)}"
    if has_weaker:
        advice = f"{_sysctl()}, and lift what else forbids user namespaces"
        return warn("isolation", f"no user namespaces ({text}): jobs are users of the host that own nothing", advice)
    return _no_walls(config, "isolation", text, _namespaces_advice(number))


def root_file_systems(config: Config) -> Finding:
    """Whether a job can have a root file system of its own, that lies where the server keeps its state."""
    if Mode.ROOTFS not in config.isolation.modes:
        return ok("root file systems", "the configuration allows none to jobs")
    there = next(path for path in (config.data_dir, *config.data_dir.parents) if path.is_dir())
    if not os.access(there, os.W_OK):
        return fail("root file systems", f"can't be tried: {there} can't be written", "see the data directory")
    with tempfile.TemporaryDirectory(prefix=".jsched-doctor-", dir=there) as directory:
        tree = Path(os.path.realpath(directory))
        weaker = sandbox_of_tree(ids.without_user_namespace(_SLOT), tree)
        try:
            failure = try_walls_apart(sandbox_of_tree(_ids(), tree))
            if failure is not None and os.geteuid() == 0 and try_walls_apart(weaker) is None:
                failure = None
        except Unavailable as error:
            return fail("root file systems", error.message, error.hint)
    if failure is not None:
        step, number = failure
        if step == _CLONE:
            text = f"no namespaces for them ({step}: {os.strerror(number)})"
            return _no_walls(config, "root file systems", text, _namespaces_advice(number))
        return fail("root file systems", f"{step}: {os.strerror(number)}", "keep them on ext4, xfs or btrfs")
    if not _has_overlayfs():
        return warn("root file systems", "copied for each job: the kernel has no overlayfs", "modprobe overlay")
    return ok("root file systems", "overlaid by overlayfs")


def show_plan() -> None:
    """Print the walls of both modes in the order in which they are built."""
    here = _ids()
    for title, sandbox in (
        ("--isolation host", sandbox_of_host(here, [], seccomp="-")),
        ("--isolation rootfs", sandbox_of_tree(here, Path("/"), seccomp="-")),
    ):
        print(f"{title}, --network none:")
        for name, description in plan.describe(sandbox):
            print(f"  {name:<18} {description}")


def _has_walls(config: Config) -> bool:
    return config.isolation.modes != {Mode.NONE}


def _no_walls(config: Config, subject: str, text: str, advice: str) -> Finding:
    """Return what it means that walls can't be built: whether jobs run without is the configuration's to say."""
    if not _has_walls(config):
        return warn(subject, f"{text}; the configuration allows jobs none", advice)
    if not config.isolation.required:
        return warn(subject, f"{text}: jobs run without walls, and those that ask for some are refused", advice)
    return fail(subject, text, advice)


def _namespaces_advice(number: int) -> str:
    if number == errno.ENOSPC or _limits_of_zero():
        return _sysctl()
    return "a sandbox or security module around the server may forbid it: allow it"


def _sysctl() -> str:
    names = _limits_of_zero() or ["max_user_namespaces"]
    return "sysctl " + " ".join(f"user.{name}=65536" for name in names)


def _limits_of_zero() -> list[str]:
    return sorted(path.name for path in _LIMITS.glob("max_*_namespaces") if path.read_text("ascii").strip() == "0")


def _ids() -> Ids:
    return ids.in_range(_SLOT) if os.geteuid() == 0 else ids.of_this_user()


def _whom(chosen: Ids) -> str:
    if os.geteuid() == 0:
        return f"each job has {ids.RANGE_SIZE} user ids from {ids.FIRST_ID} on"
    return f"jobs run as user {chosen.uid}, with no other"


def _has_overlayfs() -> bool:
    return "\toverlay\n" in Path("/proc/filesystems").read_text("ascii")
