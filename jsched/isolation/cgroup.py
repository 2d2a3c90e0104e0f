"""The cgroup of one job: made from a plan, entered, told from, emptied and removed.

What differs between the two versions of the kernel's interface is in cgroup_v1 and cgroup_v2.
Runs in the monitor as well as in the server, so it is small, and forks safely.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from jsched.isolation.cgroup_plan import CgroupLoad, CgroupPlan, CgroupUsage
from jsched.isolation.cgroupfs import Cgroupfs

_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.02
REMOVE_PATIENCE = 2.0


class Cgroup(ABC):
    """A job's cgroup, whether it is there or not; see `from_plan`. Methods raise OSError."""

    def __init__(self, plan: CgroupPlan) -> None:
        self.plan = plan
        self.fs = Cgroupfs(plan.root)
        # Controllers that are mounted together share a directory.
        self.outside = {home.directory: home.outside for home in plan.homes}
        self.directories = tuple(self.outside)
        self.is_caught = False

    def make(self) -> None:
        """Make it and set its limits, all or nothing; FileExistsError if there is one of this name."""
        made: list[str] = []
        try:
            for directory in self.directories:
                self.fs.make_directory(directory)
                made.append(directory)
            for file, value in self.plan.writes:
                self.fs.write(file, value)
        except OSError:
            for directory in made:
                with contextlib.suppress(OSError):
                    self.fs.remove_directory(directory)
            raise

    def enter(self) -> None:
        """Be in the cgroup until leave(), so that a child is born there.

        The caller has to have one thread only. If this raises, it is as far outside as can be.
        """
        for file, value in self.plan.entering:
            self.fs.write(file, value)
        try:
            for directory in self.directories:
                self._move_to(directory)
        except OSError:
            self.leave()
            raise

    def leave(self) -> None:
        """Be outside of all of it, where the plan says, and have the limits for those who stay.

        Where the plan's place is gone or refuses, another outside of the job's own directory is taken.
        Raises OSError if there is none; then the rest has been left, and `is_caught` says so.
        """
        problem: OSError | None = None
        for directory in reversed(self.directories):
            try:
                self._leave(directory)
            except OSError as error:
                problem = error
        self.is_caught = problem is not None
        if problem is not None:
            raise problem
        for file, value in self.plan.entered:
            self.fs.write(file, value)

    @abstractmethod
    def into_fd(self) -> int | None:
        """Return a close-on-exec descriptor for CLONE_INTO_CGROUP, clone(2), or None in version 1.

        It is the caller's to close.
        """

    @abstractmethod
    def entrances(self) -> list[int]:
        """Return close-on-exec descriptors that a process with one thread enters by, writing "0" to each.

        It needs no rights of its own for that. Empty in version 2, where entering so takes long: see into_fd().
        They are the caller's to close.
        """

    @abstractmethod
    def kill(self) -> None:
        """Send SIGKILL to everybody inside, also to those who are just being forked.

        Returns before they are gone. What is not there is no error.
        """

    @abstractmethod
    def load(self) -> CgroupLoad:
        """Return the least of what it counts, in few reads."""

    @abstractmethod
    def usage(self) -> CgroupUsage:
        """Return what was used so far; None in every field if the cgroup is not there."""

    def processes(self) -> list[int]:
        """Return the pids of everybody inside, as this process sees them (0 for one that it can't see)."""
        return list(dict.fromkeys(pid for directory in self.directories for pid in self._inside(directory)))

    def kill_until_empty(self, patience: float) -> bool:
        """Kill everybody inside and wait until they are gone, at most `patience` seconds; return whether they are."""
        deadline = time.monotonic() + patience
        for pause in _pauses():
            if not self.processes():
                return True
            if time.monotonic() > deadline:
                return False
            self.kill()
            time.sleep(pause)
        return False

    def remove(self, patience: float = REMOVE_PATIENCE) -> None:
        """Remove it and what the job has made below; what is not there is no error.

        A cgroup stays busy for a moment after its last process: so long, at most `patience`
        seconds, this waits. Raises OSError (EBUSY) if somebody is still inside then.
        """
        deadline = time.monotonic() + patience
        for directory in self.directories:
            for pause in _pauses():
                try:
                    self._remove_below(directory)
                    break
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > deadline:
                        raise
                time.sleep(pause)

    @abstractmethod
    def _move_to(self, directory: str) -> None:
        """Move this process, which has one thread, into a cgroup."""

    def _leave(self, directory: str) -> None:
        outside = self.outside[directory]
        try:
            self._move_to(outside)
        except OSError:
            with contextlib.suppress(OSError):
                # A server that ends removes its own one when nobody is in it.
                self.fs.make_directory(outside)
            for place in (outside, os.path.dirname(directory), *_above(outside)):
                with contextlib.suppress(OSError):
                    self._move_to(place)
                    return
            raise

    def _inside(self, directory: str) -> list[int]:
        contents = (self.fs.read_if_there(f"{inner}/cgroup.procs") for inner in self.fs.below(directory))
        return [int(line) for content in contents for line in (content or "").split()]

    def _remove_below(self, directory: str) -> None:
        try:
            # Nearly always there is nothing below, and then nothing has to be looked for.
            self.fs.remove_directory(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            for inner in self.fs.below(directory):
                with contextlib.suppress(FileNotFoundError):
                    self.fs.remove_directory(inner)


def from_plan(plan: CgroupPlan) -> Cgroup:
    """Return the cgroup of a plan; nothing is made yet.

    Who forks imports cgroup_v1 and cgroup_v2 before, or each child has to do it anew.
    """
    from jsched.isolation.cgroup_v1 import CgroupV1
    from jsched.isolation.cgroup_v2 import CgroupV2

    return CgroupV1(plan) if plan.version == 1 else CgroupV2(plan)


def table(text: str | None) -> dict[str, int]:
    """Return the numbers of a file with a name and a number in each line, or none of no file."""
    pairs = (line.split() for line in (text or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def number(text: str | None) -> int | None:
    """Return the number that a file holds, None for no file."""
    return None if text is None else int(text)


def signal_all(pids: Iterable[int], sig: int) -> None:
    """Send a signal to each of `pids` that is there and may be signalled."""
    for pid in pids:
        # 0 is somebody whom this process can't see; to kill(2) it would be our own process group.
        if pid > 0 and pid != os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sig)


def _above(directory: str) -> Iterator[str]:
    while directory:
        directory = os.path.dirname(directory)
        yield directory


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)
