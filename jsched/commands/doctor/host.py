"""What the kernel and Python have to give."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import resource
import sys
from pathlib import Path

from jsched.commands.doctor.finding import Finding, fail, ok, warn
from jsched.linux import process, syscalls
from jsched.linux.inotify import Inotify

# close_range(2) came with 5.9 and is the newest call that every job needs.
OLDEST_KERNEL = (5, 9)
_FEW_WATCHES = 8192
_FEW_FILES = 8192
_INOTIFY = Path("/proc/sys/fs/inotify")


def python() -> Finding:
    """Which Python this is; one that is too old does not get here."""
    return ok("python", f"{platform.python_version()} at {sys.executable}")


def kernel(release: str = "") -> Finding:
    """Whether the kernel has the system calls that jobs are started with."""
    release = release or os.uname().release
    version = re.match(r"(\d+)\.(\d+)", release)
    if sys.platform != "linux" or version is None:
        return fail("kernel", f"{platform.system()} {release}", "jsched runs on Linux alone")
    if (int(version[1]), int(version[2])) < OLDEST_KERNEL:
        return fail("kernel", f"Linux {release} is older than 5.9", "run a newer kernel")
    return ok("kernel", f"Linux {release}")


def pidfd() -> Finding:
    """Whether a process can be held by a descriptor, pidfd_open(2)."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return fail("pidfd", f"pidfd_open: {error.strerror}", "a sandbox around the server may forbid it: allow it")
    return ok("pidfd", "works")


def subreaper() -> Finding:
    """Whether a monitor can keep hold of a job's whole process tree, prctl(2)."""
    try:
        syscalls.prctl_set_child_subreaper()
    except OSError as error:
        return fail("subreaper", str(error), "a sandbox around the server may forbid it: allow it")
    return ok("subreaper", "works")


def boot() -> Finding:
    """Whether jobs of this boot can be told from those of the one before."""
    try:
        return ok("boot id", process.boot_id())
    except OSError as error:
        return fail("boot id", f"{error.filename}: {error.strerror}", "mount /proc where the server runs")


def inotify(limits: Path = _INOTIFY) -> Finding:
    """Whether the kernel tells of growing logs: one instance, and a watch for each followed log."""
    try:
        watches = int((limits / "max_user_watches").read_text())
        instances = int((limits / "max_user_instances").read_text())
    except OSError as error:
        return fail("inotify", f"{error.filename}: {error.strerror}", "run a kernel with inotify")
    text = f"{instances} instances, {watches} watches for each user"
    try:
        asyncio.run(_make_instance())
    except OSError as error:
        return fail(
            "inotify", f"{text}, and none is left: {error.strerror}", "sysctl fs.inotify.max_user_instances=1024"
        )
    if watches < _FEW_WATCHES:
        advice = "a followed log needs a watch: sysctl fs.inotify.max_user_watches=65536"
        return warn("inotify", text, advice)
    return ok("inotify", text)


async def _make_instance() -> None:
    Inotify(lambda _: None).close()


def open_files(most: int | None = None) -> Finding:
    """How many descriptors the server may have; it raises its own limit to the hard one."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if most is None else most
    if most == resource.RLIM_INFINITY:
        return ok("open files", "no limit")
    if most < _FEW_FILES:
        advice = "a connection, a followed log and a running job each need one: LimitNOFILE= in the unit, or ulimit -Hn"
        return warn("open files", f"at most {most}", advice)
    return ok("open files", f"at most {most}")
