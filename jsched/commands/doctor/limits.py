"""What jobs can be limited in."""

from __future__ import annotations

import os
from pathlib import Path

from jsched.commands.doctor.finding import Finding, fail, ok, warn
from jsched.config import Config
from jsched.errors import InvalidArgument
from jsched.isolation.discovery import look
from jsched.isolation.draft import check_disks, check_limited_once
from jsched.isolation.hierarchy import NoHierarchy, group_name
from jsched.isolation.hierarchy_v2 import CONTROLLERS
from jsched.linux.cgroups import MOUNTINFO, OWN_CGROUP
from jsched.linux.disks import Disk, real_disks

_LIMITS = {"cpu": "CPUs", "memory": "memory", "io": "disks", "pids": "processes"}
_NO_LIMITS = "jobs run without limits, and those that ask for some are refused"


def cgroups(config: Config, mountinfo: Path = MOUNTINFO, own: Path = OWN_CGROUP) -> Finding:
    """Which version of cgroups is used, and what can't be limited there."""
    if not config.limits.enabled:
        return ok("cgroups", f"disabled by the configuration; {_NO_LIMITS}")
    hierarchy = look(group_name(config.data_dir), config.limits.parent, mountinfo=mountinfo, own=own)
    if isinstance(hierarchy, NoHierarchy):
        return warn("cgroups", f"{hierarchy.reason}; {_NO_LIMITS}", "give the server a cgroup: docs/operations.md")
    where = f"version {hierarchy.version} in {hierarchy.fs.path(hierarchy.groups[0].directory)}"
    if not _writable(Path(hierarchy.fs.path(hierarchy.groups[0].directory))):
        return warn("cgroups", f"{where} can't be made by user {os.geteuid()}; {_NO_LIMITS}", "run the server as root")
    try:
        missing = [name for name in CONTROLLERS if name not in hierarchy.controllers()]
    except OSError as error:
        return warn("cgroups", f"{error.filename}: {error.strerror}; {_NO_LIMITS}", "look at the mount of cgroups")
    if missing:
        advice = f"enable {', '.join(missing)}: without them there is no limit on {_what(missing)}"
        return warn("cgroups", f"{where}, without {', '.join(missing)}", advice)
    return ok("cgroups", f"{where}: {', '.join(CONTROLLERS)}")


def disks(config: Config, found: list[Disk] | None = None) -> Finding:
    """Which disks `all` means in a limit, and whether the server would start with those of its configuration."""
    if config.limits.enabled:
        try:
            check_disks(config.limits.default.disk)
            check_limited_once(config.limits.default.disk)
        except InvalidArgument as error:
            advice = f"in [[limits.disk]], {error.hint}"
            if isinstance(look(group_name(config.data_dir), config.limits.parent), NoHierarchy):
                return warn("disks", f"{error.message}: with cgroups the server would not start", advice)
            return fail("disks", f"{error.message}: the server does not start", advice)
    found = real_disks() if found is None else found
    if not found:
        return warn("disks", "none: a limit on `all` limits nothing", "limit the device that jobs use by its number")
    return ok("disks", f"{', '.join(map(str, found))}: what a limit on `all` is for")


def _what(missing: list[str]) -> str:
    return ", ".join(_LIMITS[name] for name in missing)


def _writable(path: Path) -> bool:
    while not path.exists():
        path = path.parent
    return os.access(path, os.W_OK)
