"""Comparing two reports of probe.py: what one sandbox allows that the other doesn't."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

Report = dict[str, Any]

# What a mount may forbid, mount(2), by the option that forbids it.
_FORBIDDING = {"ro": "writing", "nosuid": "set-user-ID", "nodev": "device nodes", "noexec": "executing"}


def wider_than(ours: Report, theirs: Report) -> list[str]:
    """Return what `ours` allows and `theirs` doesn't, one line each; nothing if ours is nowhere wider.

    A namespace counts as shared if it is that of the calling process. Neither the environment
    nor the log (descriptors 0 to 2) are compared: they are what the caller gives.
    """
    return [
        *_shared_namespaces(ours, theirs),
        *_more_processes(ours, theirs),
        *_mounts(ours, theirs),
        *(f"interface {name}" for name in ours["interfaces"] if name not in theirs["interfaces"]),
        *_privileges(ours, theirs),
        *(f"descriptor {fd}: {to}" for fd, to in ours["descriptors"].items() if _leaks(fd, theirs)),
        *_devices(ours, theirs),
        *(f"writable: {path}" for path in ours["writable"] if not _covered(path, theirs["writable"])),
        *_limits(ours, theirs),
    ]


def _shared_namespaces(ours: Report, theirs: Report) -> Iterator[str]:
    for kind, link in ours["namespaces"].items():
        host = os.readlink(f"/proc/self/ns/{kind}")
        if link == host and theirs["namespaces"].get(kind) != host:
            yield f"namespace {kind}: the host's"


def _more_processes(ours: Report, theirs: Report) -> Iterator[str]:
    if len(ours["processes"]) > len(theirs["processes"]):
        yield f"processes: {ours['processes']} in place of {theirs['processes']}"


def _mounts(ours: Report, theirs: Report) -> Iterator[str]:
    """What a mount of ours allows, and the mount that covers the same path in theirs does not."""
    for mount in ours["mounts"]:
        if not mount["directory"]:
            # A file or a device: what can be done with it is in the lists of those.
            continue
        other = _covering(mount["point"], theirs)
        for option, what in _FORBIDDING.items():
            if option in other["options"] and option not in mount["options"]:
                yield f"mount {mount['point']} ({mount['type']}) allows {what}"


def _covering(path: str, report: Report) -> dict[str, Any]:
    mounts: dict[str, dict[str, Any]] = {mount["point"]: mount for mount in report["mounts"]}
    upwards = (str(one) for one in (PurePosixPath(path), *PurePosixPath(path).parents))
    return next(mounts[one] for one in upwards if one in mounts)


def _privileges(ours: Report, theirs: Report) -> Iterator[str]:
    for name, bits in ours["capabilities"].items():
        if more := sorted(set(bits) - set(theirs["capabilities"][name])):
            yield f"capabilities {name}: {more}"
    for name in ("no_new_privs", "seccomp"):
        if theirs[name] and not ours[name]:
            yield f"{name}: not set"
    for name in ("uid_map", "gid_map"):
        if _maps_root(ours[name]) and not _maps_root(theirs[name]):
            yield f"{name}: maps the host's root"


def _maps_root(id_map: str | None) -> bool:
    """Whether an id of the namespace is id 0 outside, user_namespaces(7)."""
    return any(line.split()[1] == "0" for line in (id_map or "").splitlines())


def _leaks(fd: str, theirs: Report) -> bool:
    return int(fd) > 2 and fd not in theirs["descriptors"]


def _devices(ours: Report, theirs: Report) -> Iterator[str]:
    for path, can in ours["devices"].items():
        if more := set(can) - set(theirs["devices"].get(path, "")):
            yield f"device {path}: {''.join(sorted(more))}"


def _covered(path: str, by: list[str]) -> bool:
    return any(str(one) in by for one in (PurePosixPath(path), *PurePosixPath(path).parents))


def _limits(ours: Report, theirs: Report) -> Iterator[str]:
    for name, (_, hard) in ours["limits"].items():
        most = theirs["limits"][name][1]
        if most != -1 and (hard == -1 or hard > most):
            yield f"limit {name}: {hard} in place of {most}"
