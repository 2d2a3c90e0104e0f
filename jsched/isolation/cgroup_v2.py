"""A job's cgroup in version 2: one directory. Source: Documentation/admin-guide/cgroup-v2.rst."""

from __future__ import annotations

import contextlib
import os
import signal

from jsched.isolation.cgroup import Cgroup, number, signal_all, table
from jsched.isolation.cgroup_plan import CgroupLoad, CgroupUsage

_MICROSECONDS = 1e6


class CgroupV2(Cgroup):
    """One directory, with the files of all controllers."""

    @property
    def directory(self) -> str:
        """The job's directory, relative to the plan's root."""
        return self.plan.homes[0].directory

    def into_fd(self) -> int | None:
        """Return a close-on-exec descriptor of the directory, for CLONE_INTO_CGROUP, clone(2)."""
        return os.open(self.fs.path(self.directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def entrances(self) -> list[int]:
        """Return nothing."""
        return []

    def kill(self) -> None:
        """Have the kernel kill all of them at once; before Linux 5.14 freeze them, and send SIGKILL to each."""
        with contextlib.suppress(FileNotFoundError):
            if self.fs.has(f"{self.directory}/cgroup.kill"):
                self.fs.write(f"{self.directory}/cgroup.kill", "1")
                return
            self.fs.write(f"{self.directory}/cgroup.freeze", "1")
            try:
                signal_all(self.processes(), signal.SIGKILL)
            finally:
                self.fs.write(f"{self.directory}/cgroup.freeze", "0")

    def usage(self) -> CgroupUsage:
        """Return what the controllers have counted."""
        cpu = table(self._read("cpu.stat"))
        disk = _disk(self._read("io.stat"))
        return CgroupUsage(
            cpu_user=_seconds(cpu.get("user_usec")),
            cpu_system=_seconds(cpu.get("system_usec")),
            throttled=_seconds(cpu.get("throttled_usec")),
            memory_peak=number(self._read("memory.peak")),
            memory_current=number(self._read("memory.current")),
            read_bytes=disk.get("rbytes"),
            written_bytes=disk.get("wbytes"),
            read_operations=disk.get("rios"),
            written_operations=disk.get("wios"),
            pids_peak=number(self._read("pids.peak")),
            oom_kills=table(self._read("memory.events")).get("oom_kill"),
        )

    def load(self) -> CgroupLoad:
        """Return CPU time, memory and processes."""
        return CgroupLoad(
            cpu=_seconds(table(self._read("cpu.stat")).get("usage_usec")),
            memory=number(self._read("memory.current")),
            pids=number(self._read("pids.current")),
        )

    def _move_to(self, directory: str) -> None:
        self.fs.write(os.path.join(directory, "cgroup.procs"), "0")

    def _read(self, file: str) -> str | None:
        return self.fs.read_if_there(f"{self.directory}/{file}")


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / _MICROSECONDS


def _disk(text: str | None) -> dict[str, int]:
    """Return the sums over all disks of lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0`."""
    if text is None:
        return {}
    sums = dict.fromkeys(("rbytes", "wbytes", "rios", "wios"), 0)
    for line in text.splitlines():
        for field in line.split()[1:]:
            name, _, value = field.partition("=")
            if name in sums:
                sums[name] += int(value)
    return sums
