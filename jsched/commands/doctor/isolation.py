"""What the walls around a job are made of: namespaces, ids, mounts, the filter of system calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from jsched.commands.doctor.finding import Finding, fail, ok, warn
from jsched.linux import libseccomp, trials

_SECONDS = 60
_SUBUID = (Path("/etc/subuid"), Path("/etc/subgid"))
_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
# What may forbid user namespaces, and the value that allows them.
_SWITCHES = {
    Path("/proc/sys/kernel/unprivileged_userns_clone"): ("0", "kernel.unprivileged_userns_clone=1"),
    Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"): (
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    Path("/proc/sys/user/max_user_namespaces"): ("0", "user.max_user_namespaces=10000"),
}
_IN_A_CONTAINER = "the server may run in a container or a sandbox that forbids it: run it on the host itself"


def isolation() -> Iterator[Finding]:
    """Whether jobs can be shut in as they are by default, and what they get where a wall can't be had."""
    results = _trials()
    yield namespaces(results)
    yield user_namespaces(results)
    yield from id_ranges(results)
    yield proc(results)
    yield overlayfs(results)
    yield seccomp()


def namespaces(results: Mapping[str, str]) -> Finding:
    """Whether a job can have a world of its own."""
    missing = {kind: results[kind] for kind in trials.KINDS if results[kind]}
    if missing:
        text = ", ".join(f"no {kind} ({why})" for kind, why in missing.items())
        return fail("namespaces", text, f"only jobs without isolation can run; {_IN_A_CONTAINER}")
    return ok("namespaces", " ".join(trials.KINDS))


def user_namespaces(results: Mapping[str, str], switches: Mapping[Path, tuple[str, str]] = _SWITCHES) -> Finding:
    """Whether root inside a job is nobody outside."""
    if not results[trials.USER]:
        return ok("user namespaces", f"can be made by user {os.geteuid()}")
    off = [setting for path, (value, setting) in switches.items() if _content(path) == value]
    advice = " ".join(["sysctl", *off]) if off else _IN_A_CONTAINER
    if os.geteuid() == 0:
        text = f"{results[trials.USER]}; jobs get a user id of their own and no capabilities in their place"
        return warn("user namespaces", text, advice)
    return fail("user namespaces", results[trials.USER], f"an ordinary user can't isolate jobs without: {advice}")


def id_ranges(results: Mapping[str, str], given: tuple[Path, ...] = _SUBUID) -> Iterator[Finding]:
    """Whether each job can have user ids that nobody else has."""
    if os.geteuid() != 0:
        yield ok("id ranges", f"none for an ordinary user: each job's one id is {os.geteuid()} outside")
        return
    if results[trials.IDS]:
        advice = f"jobs have one id outside, the same for all; {_IN_A_CONTAINER}"
        yield warn("id ranges", results[trials.IDS], advice)
        return
    yield ok("id ranges", f"{trials.IDS_OF_A_JOB} ids a job, from {trials.FIRST_ID}")
    for path in given:
        if names := _given_to_others(path):
            text = f"{path} gives ids from {trials.FIRST_ID} on to {', '.join(names)}: a job may have the same ones"
            yield warn("id ranges", text, "give jobs a range of their own")


def proc(results: Mapping[str, str]) -> Finding:
    """Whether a job can have a /proc that shows its own processes alone."""
    if results[trials.PROC]:
        advice = "a container that covers parts of /proc forbids new ones: run the server on the host itself"
        return fail("/proc of a job", results[trials.PROC], advice)
    return ok("/proc of a job", "can be mounted")


def overlayfs(results: Mapping[str, str]) -> Finding:
    """Whether a root file system can be shared between jobs, each with changes of its own."""
    if results[trials.OVERLAY]:
        text = f"{results[trials.OVERLAY]}; root file systems are copied for each job, which takes time and space"
        return warn("overlayfs", text, "modprobe overlay; in user namespaces it takes Linux 5.11")
    return ok("overlayfs", "can be mounted; root file systems are not copied")


def seccomp(actions: Path = _ACTIONS) -> Finding:
    """Whether system calls can be filtered."""
    if "errno" not in (_content(actions) or "").split():
        return fail("seccomp", "the kernel has no filters", "run a kernel with CONFIG_SECCOMP_FILTER")
    try:
        version = libseccomp.version()
    except OSError as error:
        return fail("seccomp", str(error), "apt install libseccomp2, or your distribution's package of libseccomp")
    return ok("seccomp", f"filters, compiled by libseccomp {'.'.join(map(str, version))}")


def _trials() -> dict[str, str]:
    """Run the trials in a process that has neither threads nor anything to lose."""
    command = [sys.executable, "-m", trials.__name__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if done.returncode:
        return dict.fromkeys(
            (*trials.KINDS, trials.USER, trials.IDS, trials.PROC, trials.OVERLAY), done.stderr.strip()[-200:]
        )
    results: dict[str, str] = json.loads(done.stdout)
    return results


def _given_to_others(path: Path) -> list[str]:
    """Return who has ids that jobs take, subuid(5): name, first id, count."""
    lines = [line.split(":") for line in (_content(path) or "").splitlines()]
    ranges = [(line[0], int(line[1]), int(line[2])) for line in lines if len(line) == 3 and "".join(line[1:]).isdigit()]
    return [name for name, first, count in ranges if first + count > trials.FIRST_ID]


def _content(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
