"""What a process can see and touch, as JSON: run inside a sandbox, as a file or as the text after `python3 -c`.

It needs nothing but Python 3 and changes nothing: device nodes are opened and closed, and whether
a path is writable is asked, not tried. Sources: proc(5), capabilities(7), signal(7).
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from typing import Any

_CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_DEPTH, _DEEP = 3, 5
_MOST_ENTRIES = 100_000
_MOST_DEVICES = 2_000
# Opening these does something: a timer starts, a tape rewinds, hibernation is prepared, a terminal
# is allocated, a line is raised.
_NOT_OPENED = re.compile(r"watchdog\d*|n?st\d+.*|snapshot|tty[A-Z]*\d+")
_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_NULL = os.makedev(1, 3)
_KERNELS_OWN = ("proc", "sysfs", "cgroup", "cgroup2")
# Python itself ignores or handles these.
_PYTHONS_OWN = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)


def report() -> dict[str, Any]:
    """Return all that is found; what may not be looked at is None."""
    status = _status()
    return {
        "ids": {"uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups()},
        "pid": os.getpid(),
        "session": os.getsid(0),
        "cwd": _try_text(os.getcwd),
        "hostname": socket.gethostname(),
        "processes": {pid: (_read(f"/proc/{pid}/comm") or "").strip() for pid in _list("/proc") if pid.isdigit()},
        "namespaces": {kind: _link("/proc/self/ns/" + kind) for kind in _list("/proc/self/ns")},
        "mounts": mounts(),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "capabilities": {name: _bits(status.get(name, "0")) for name in _CAPABILITY_SETS},
        "no_new_privs": int(status.get("NoNewPrivs", "0")),
        "seccomp": int(status.get("Seccomp", "0")),
        "descriptors": descriptors(),
        "devices": dict(devices()),
        "writable": writable(),
        "uid_map": _read("/proc/self/uid_map"),
        "gid_map": _read("/proc/self/gid_map"),
        "environment": dict(os.environ),
        "limits": {
            name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")
        },
        "signals": {
            name: _signals(status.get(key, "0")) for name, key in (("blocked", "SigBlk"), ("ignored", "SigIgn"))
        },
        "umask": status.get("Umask"),
        "oom_score_adj": (_read("/proc/self/oom_score_adj") or "").strip(),
        "cgroup": (_read("/proc/self/cgroup") or "").splitlines(),
    }


def mounts() -> list[dict[str, Any]]:
    """Return mount point, type, options of the mount and of its file system, for each that is in sight.

    A mount whose point can't be looked at counts as in sight. `directory` says what the point is.
    """
    found = []
    for line in (_read("/proc/self/mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        point = fields[4].encode().decode("unicode_escape")
        if _mount_id(point) not in (None, fields[0]):
            continue
        options, super_options = fields[5].split(","), kind[2].split(",")
        mount = {"point": point, "type": kind[0], "options": options, "super": super_options}
        found.append({**mount, "directory": stat.S_ISDIR(_mode(point))})
    return found


def _mount_id(path: str) -> str | None:
    """Return the id of the mount that a path leads to: another may cover the one that is asked about."""
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None
    info = _read(f"/proc/self/fdinfo/{fd}") or ""
    os.close(fd)
    return next((line.split()[1] for line in info.splitlines() if line.startswith("mnt_id:")), None)


def descriptors() -> dict[str, str | None]:
    """Return the targets of all descriptors but the one that the list was read with."""
    links = {fd: _link("/proc/self/fd/" + fd) for fd in _list("/proc/self/fd")}
    return {fd: link for fd, link in links.items() if link is not None}


def devices() -> Iterator[tuple[str, str]]:
    """Yield the device nodes below /dev that can be opened: "r", "w" or "rw"."""
    for path, mode in _walk("/dev", _DEPTH, _MOST_DEVICES):
        is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        if not is_device or _NOT_OPENED.fullmatch(os.path.basename(path)):
            continue
        can = "".join(letter for letter, flag in (("r", os.O_RDONLY), ("w", os.O_WRONLY)) if _opens(path, flag))
        if can:
            yield path, can


def writable() -> list[str]:
    """Return the uppermost writable paths below each mount point, to a few levels.

    In the file systems that are the kernel's own, only files that anybody may write: nothing can
    be made in their directories. Left out are directories of processes, and whatever swallows
    what is written (null(4), that covers things).
    """
    points = {mount["point"]: mount["type"] for mount in mounts()}
    found = set()
    left = _MOST_ENTRIES
    for root, kind in sorted(points.items()):
        kernels = kind in _KERNELS_OWN
        others = points.keys() - {root}
        for path, mode in _walk(root, _DEEP if kernels else _DEPTH, left, others, None if kernels else _writable):
            left -= 1
            counts = stat.S_ISREG(mode) and mode & _ANY_WRITE if kernels else True
            if counts and _writable(path) and not _swallows(path):
                found.add(path)
    return sorted(found)


def _walk(root: str, depth: int, most: int, others: Any = (), stop: Any = None) -> Iterator[tuple[str, int]]:
    """Yield path and mode of root and what is below it, no symlinks; at the greatest depth only directories.

    Leaves out the paths in `others`, and what is below those that `stop` is true for.
    """
    waiting = [(root, 0)]
    while waiting and most > 0:
        path, level = waiting.pop()
        most -= 1
        mode = _mode(path)
        if not mode or stat.S_ISLNK(mode):
            continue
        yield path, mode
        if level == depth or not stat.S_ISDIR(mode) or (stop and stop(path)):
            continue
        waiting += [(entry, level + 1) for entry in _entries(path, level + 1 == depth) if entry not in others]


def _entries(path: str, directories_alone: bool) -> list[str]:
    """Return the paths of what is in a directory; no directories of processes."""
    try:
        with os.scandir(path) as entries:
            return [
                entry.path
                for entry in entries
                if not (path == "/proc" and entry.name.isdigit())
                and (not directories_alone or entry.is_dir(follow_symlinks=False))
            ]
    except OSError:
        return []


def _writable(path: str) -> bool:
    return os.access(path, os.W_OK, effective_ids=True)


def _swallows(path: str) -> bool:
    status = os.stat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL


def _opens(path: str, flag: int) -> bool:
    try:
        os.close(os.open(path, flag | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _status() -> dict[str, str]:
    lines = (_read("/proc/self/status") or "").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _bits(text: str) -> list[int]:
    number = int(text, 16)
    return [bit for bit in range(number.bit_length()) if number >> bit & 1]


def _signals(text: str) -> list[int]:
    return [bit + 1 for bit in _bits(text) if bit + 1 not in _PYTHONS_OWN]


def _list(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None


def _try_text(call: Any) -> str | None:
    try:
        return str(call())
    except OSError:
        return None


if __name__ == "__main__":
    json.dump(report(), sys.stdout)
    sys.stdout.write("\n")
