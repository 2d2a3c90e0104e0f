"""The steps about everything but files and privileges: descriptors, session, cgroup, names, limits."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import signal

from jsched.isolation.site import Site
from jsched.linux import host, syscalls


def start_session(site: Site) -> None:
    """Leave the monitor's session, and with it every terminal."""
    os.setsid()


def set_hostname(site: Site) -> None:
    """Set the host name that the job sees."""
    host.set_hostname(site.sandbox.hostname)


def allow_core_limit() -> None:
    """Make room for a limit of 1 on core dumps, if this process may.

    Where the host gives nobody more than 0, that of jobs would be 0, too: then the kernel hands their dumps to a
    program of the host's, as it does not with 1.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        # What Python makes of EPERM: without CAP_SYS_RESOURCE limits only go down.
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (soft, 1))


def set_limits(site: Site) -> None:
    """Set the resource limits, none above what the server itself has."""
    for number, soft, hard in site.sandbox.limits:
        most = resource.getrlimit(number)[1]
        resource.setrlimit(number, (_at_most(soft, most), _at_most(hard, most)))


def volunteer_for_memory_shortage(site: Site) -> None:
    """Have the job killed before the host's own processes where the host's memory is short."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, str(site.sandbox.oom_score_adj).encode())
    os.close(fd)


def die_with_monitor(site: Site) -> None:
    """Be killed when the monitor ends, and everything in the namespace with it."""
    # Not before the last change of credentials, which would take it back, prctl(2).
    syscalls.prctl_set_pdeathsig(signal.SIGKILL)
    poller = select.poll()
    poller.register(site.reports, 0)
    # The parent's pid is 0 in a new PID namespace, but a pipe without a reader tells that it is gone.
    if poller.poll(0):
        raise OSError(errno.ESRCH, "the monitor is gone")


def forget_monitor(site: Site) -> None:
    """Close all that belongs to the monitor, from its sockets to its ends of the pipes."""
    first = 3
    for fd in sorted(site.descriptors()):
        syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first, syscalls.LAST_DESCRIPTOR)


def join_cgroup(site: Site) -> None:
    """Enter the job's cgroup, by descriptors that the monitor has opened with its own rights."""
    for fd in site.tasks:
        os.write(fd, b"0")


def _at_most(wanted: int, most: int) -> int:
    if resource.RLIM_INFINITY in (wanted, most):
        return max(wanted, most)
    return min(wanted, most)
