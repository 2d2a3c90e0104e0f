"""A job's cgroup in version 1: a directory for each controller. Source: Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from jsched.isolation.cgroup import Cgroup, number, signal_all, table
from jsched.isolation.cgroup_plan import CgroupLoad, CgroupUsage

_NANOSECONDS = 1e9
_FREEZE_PATIENCE = 0.05
_FREEZE_PAUSE = 0.0005
_FREEZER = "freezer"


class CgroupV1(Cgroup):
    """One directory in each hierarchy that has a controller of ours."""

    def into_fd(self) -> int | None:
        """Return None: version 1 has no CLONE_INTO_CGROUP."""
        return None

    def entrances(self) -> list[int]:
        """Return descriptors of the `tasks` files."""
        opened: list[int] = []
        try:
            for directory in self.directories:
                opened.append(self.fs.open_for_writing(f"{directory}/tasks"))
        except OSError:
            for fd in opened:
                os.close(fd)
            raise
        return opened

    def kill(self) -> None:
        """Freeze all of them, so that none forks and no pid passes on, send SIGKILL, and let it arrive."""
        freezer = self._home(_FREEZER)
        if freezer is None or not self.fs.has(freezer):
            signal_all(self.processes(), signal.SIGKILL)
            return
        state = f"{freezer}/freezer.state"
        try:
            self.fs.write(state, "FROZEN")
            deadline = time.monotonic() + _FREEZE_PATIENCE
            # One that sleeps in the kernel can't be frozen now; it is killed all the same.
            while self.fs.read(state).strip() != "FROZEN" and time.monotonic() < deadline:
                self.fs.write(state, "FROZEN")
                time.sleep(_FREEZE_PAUSE)
            signal_all(self.processes(), signal.SIGKILL)
        except FileNotFoundError:
            return
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._thaw(freezer)

    def usage(self) -> CgroupUsage:
        """Return what the controllers have counted; CPU time is split as the kernel's sampling saw it."""
        user, system = self._cpu()
        read_bytes, written_bytes = _transfers(self._read("blkio", "blkio.throttle.io_service_bytes_recursive"))
        reads, writes = _transfers(self._read("blkio", "blkio.throttle.io_serviced_recursive"))
        throttled = table(self._read("cpu", "cpu.stat")).get("throttled_time")
        return CgroupUsage(
            cpu_user=user,
            cpu_system=system,
            throttled=None if throttled is None else throttled / _NANOSECONDS,
            memory_peak=number(self._read("memory", "memory.max_usage_in_bytes")),
            memory_current=number(self._read("memory", "memory.usage_in_bytes")),
            read_bytes=read_bytes,
            written_bytes=written_bytes,
            read_operations=reads,
            written_operations=writes,
            pids_peak=number(self._read("pids", "pids.peak")),
            oom_kills=table(self._read("memory", "memory.oom_control")).get("oom_kill"),
        )

    def load(self) -> CgroupLoad:
        """Return CPU time, memory and processes."""
        cpu = number(self._read("cpuacct", "cpuacct.usage"))
        return CgroupLoad(
            cpu=None if cpu is None else cpu / _NANOSECONDS,
            memory=number(self._read("memory", "memory.usage_in_bytes")),
            pids=number(self._read("pids", "pids.current")),
        )

    def _move_to(self, directory: str) -> None:
        # `tasks`, and not `cgroup.procs`: moving the calling thread alone, the kernel does
        # not stop all forks of the machine, which would take it milliseconds.
        self.fs.write(os.path.join(directory, "tasks"), "0")

    def _thaw(self, freezer: str) -> None:
        for directory in reversed(self.fs.below(freezer)):
            # A job with the rights to may have frozen a cgroup of its own below.
            self.fs.write(f"{directory}/freezer.state", "THAWED")

    def _home(self, controller: str) -> str | None:
        return next((home.directory for home in self.plan.homes if home.controller == controller), None)

    def _read(self, controller: str, file: str) -> str | None:
        home = self._home(controller)
        return None if home is None else self.fs.read_if_there(f"{home}/{file}")

    def _cpu(self) -> tuple[float | None, float | None]:
        total = number(self._read("cpuacct", "cpuacct.usage"))
        if total is None:
            return None, None
        # The sum is exact; what is user and what is system is sampled by the clock's ticks, of
        # which a short job may have seen none.
        user = number(self._read("cpuacct", "cpuacct.usage_user")) or 0
        system = number(self._read("cpuacct", "cpuacct.usage_sys")) or 0
        share = user / (user + system) if user + system else 1.0
        return total * share / _NANOSECONDS, total * (1 - share) / _NANOSECONDS


def _transfers(text: str | None) -> tuple[int | None, int | None]:
    """Return what was read and written, on all disks together, of lines such as `8:0 Read 4096`."""
    if text is None:
        return None, None
    sums = {"Read": 0, "Write": 0}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in sums:
            sums[fields[1]] += int(fields[2])
    return sums["Read"], sums["Write"]
