"""What of the host a job may not see: worked out by the server, once or for each job."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterable
from pathlib import Path

from jsched.isolation.homes import HOMES
from jsched.isolation.ids import Ids
from jsched.isolation.places import COVERED, is_below
from jsched.isolation.sandbox import HOST, NONE, ROOTFS, Bind, ResourceLimit, Sandbox
from jsched.linux import privileges

_MASKED = (
    "acpi",
    "asound",
    "config.gz",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
)

# No core dumps: 1 byte holds none, and unlike 0 it also keeps the kernel from handing one to a program of the
# host's, core(5) and the kernel's fs/coredump.c. Files and locked memory as a login has them.
DEFAULT_LIMITS = (
    ResourceLimit(resource.RLIMIT_CORE, 1, 1),
    ResourceLimit(resource.RLIMIT_NOFILE, 1024, 1024),
    ResourceLimit(resource.RLIMIT_MEMLOCK, 64 * 1024, 64 * 1024),
)


# What root of a user namespace may keep, where a job asks to be root: enough for a package manager, and nothing
# that mounts, traces, loads or configures.
ROOT_CAPABILITIES = sum(
    1 << capability
    for capability in (
        privileges.CAP_CHOWN,
        privileges.CAP_DAC_OVERRIDE,
        privileges.CAP_FOWNER,
        privileges.CAP_FSETID,
        privileges.CAP_KILL,
        privileges.CAP_SETGID,
        privileges.CAP_SETUID,
        privileges.CAP_NET_BIND_SERVICE,
    )
)


def sandbox_of_host(
    ids: Ids,
    private: Iterable[Path],
    *,
    homes: Iterable[Path] = HOMES,
    network: str = NONE,
    seccomp: str = "",
) -> Sandbox:
    """Return the walls of the host mode: all files of the host but `homes` and `private` directories, read-only.

    Raises ValueError for a private directory that can't be hidden.
    """
    return Sandbox(
        mode=HOST,
        network=network,
        **ids._asdict(),
        binds=resolver_binds(network),
        hidden=hidden_directories(private, homes=homes),
        masked=masked_entries(),
        limits=DEFAULT_LIMITS,
        seccomp=seccomp,
    )


def sandbox_of_tree(ids: Ids, tree: Path, *, network: str = NONE, seccomp: str = "") -> Sandbox:
    """Return the walls of the rootfs mode around a directory tree; the path has no symbolic link in it."""
    return Sandbox(
        mode=ROOTFS,
        network=network,
        **ids._asdict(),
        rootfs=str(tree),
        masked=masked_entries(),
        limits=DEFAULT_LIMITS,
        seccomp=seccomp,
    )


def masked_entries(proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Return the entries of /proc that tell of the host or open it up, and that this kernel has."""
    return tuple(name for name in _MASKED if (proc / name).exists())


def hidden_directories(private: Iterable[Path], *, homes: Iterable[Path] = HOMES) -> tuple[str, ...]:
    """Return what has to be covered so that neither `private` directories nor homes are in sight.

    A directory that others may not even reach is covered where they are stopped. Raises ValueError for a
    directory that is, or holds, the whole system.
    """
    found = sorted({_cover(Path(os.path.realpath(path))) for path in (*private, *homes)})
    kept: list[str] = []
    for path in found:
        if not any(is_below(path, above) for above in (*COVERED, *kept)):
            kept.append(path)
    return tuple(kept)


def resolver_binds(network: str, configuration: Path = Path("/etc/resolv.conf")) -> tuple[Bind, ...]:
    """Return what a job that uses the host's network needs of /run, which it does not see, to resolve names."""
    target = os.path.realpath(configuration)
    if network != HOST or not is_below(target, "/run") or not os.path.exists(target):
        return ()
    return (Bind(target, target),)


def _cover(path: Path) -> str:
    # Init is nobody on the host: it can mount only where everybody may go.
    if path.parent == path:
        raise ValueError("the root directory can't be hidden from a job")
    for above in reversed(path.parents[:-1]):
        try:
            reachable = above.stat().st_mode & stat.S_IXOTH
        except FileNotFoundError:
            break
        if not reachable:
            return str(above)
    return str(path)
