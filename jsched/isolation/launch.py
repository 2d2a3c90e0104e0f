"""From the order to the command: what init does behind its walls, without a privilege.

Init was just forked, so all of it works on memory that was laid out before, and touches little else.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Callable, Iterable

from jsched.isolation import order
from jsched.isolation.site import Site
from jsched.linux import bare
from jsched.linux.area import Area
from jsched.linux.namespaces import CLONE_NEWCGROUP
from jsched.linux.prepared import Failed
from jsched.linux.spawn import NOT_THERE, Spawner
from jsched.linux.syscalls import LAST_DESCRIPTOR

# What monitors and Python ignore.
_SPAWNER = Spawner((signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ))

# struct msghdr and struct iovec; struct cmsghdr, with descriptors. Source: recvmsg(2), cmsg(3).
_MESSAGE = struct.Struct("@PI4xPnPni4x")
_PIECE = struct.Struct("@PN")
_CONTROL = struct.Struct("@Nii")
_DESCRIPTORS = struct.Struct(f"@{order.MOST_DESCRIPTORS}i")
_NUMBER = struct.Struct("@i")
_MASK = struct.Struct("=Q")

# Where what lies in the memory, in bytes; the room for results is that of a path.
_MESSAGE_AT, _PIECE_AT, _CONTROL_AT, _MASK_AT, _WORDS_AT, _RESULT_AT, _ORDER_AT = 0, 64, 128, 320, 384, 4096, 8192
_CONTROL_SIZE = _CONTROL.size + _DESCRIPTORS.size
_RESULT_SIZE = 4096


class Launch:
    """The memory that an order comes into and that what is started is started from; made before the fork.

    `address` is where the order will lie.
    """

    def __init__(self, signals: Iterable[int], started: bytes) -> None:
        """`signals` are those that wait_for_signal() waits for, `started` is what tell_started() writes."""
        self._area = area = Area(_ORDER_AT + order.MAX_SIZE)
        self.address = area.address + _ORDER_AT
        piece = area.pack(_PIECE, _PIECE_AT, self.address, order.MAX_SIZE)
        control = area.address + _CONTROL_AT
        self._message = area.pack(_MESSAGE, _MESSAGE_AT, 0, 0, piece, 1, control, _CONTROL_SIZE, 0)
        self._mask = area.pack(_MASK, _MASK_AT, sum(1 << number - 1 for number in signals))
        self._null = area.write(_WORDS_AT, b"/dev/null\0")
        self._zero = area.write(_WORDS_AT + 16, b"0")
        self._started = area.write(_WORDS_AT + 32, started)
        self._started_size = len(started)
        self._result = area.address + _RESULT_AT
        self._spawn = _SPAWNER.prepare()

    def receive(self, site: Site) -> bool:
        """Wait for the order, and enter the cgroups that come with it; return whether there is one.

        Those cgroups become the root of what is seen of cgroups.
        """
        received = bare.recvmsg("order", site.orders, self._message)
        if not received:
            return False
        size, *self._addresses = self._area.unpack(order.HEADER, _ORDER_AT)
        while received < size:
            more = bare.read("order", site.orders, self.address + received, size - received)
            if not more:
                raise Failed("order", errno.EPIPE)
            received += more
        length, _, _ = self._area.unpack(_CONTROL, _CONTROL_AT)
        count = (length - _CONTROL.size) // _NUMBER.size
        if count < 1:
            raise Failed("order", errno.EPROTO)
        site.log, *tasks = self._area.unpack(_DESCRIPTORS, _CONTROL_AT + _CONTROL.size)[:count]
        for fd in tasks:
            bare.write("cgroup", fd, self._zero, 1)
        if tasks and site.sandbox.has_user_namespace:
            bare.unshare("cgroup-namespace", CLONE_NEWCGROUP)
        return True

    def enter_workdir(self, site: Site) -> None:
        """Enter the working directory, as the user that the command runs as."""
        bare.chdir("workdir", self._addresses[0])
        bare.getcwd("workdir", self._result, _RESULT_SIZE)
        # Linux says so of a directory that lies outside the root directory, getcwd(3).
        if self._area.byte(_RESULT_AT) != ord("/"):
            raise Failed("workdir", errno.ENOENT)

    def set_stdio(self, site: Site) -> None:
        """Read nothing, and print into the log."""
        null = bare.open_file("stdio", self._null, os.O_RDONLY)
        for fd, target in ((null, 0), (site.log, 1), (site.log, 2)):
            bare.dup3("stdio", fd, target)
        bare.umask("stdio", site.sandbox.umask)

    def close_descriptors(self, site: Site) -> None:
        """Hold nothing but the three standard streams and the pipe to the monitor."""
        bare.close_range("descriptors", 3, site.reports - 1)
        bare.close_range("descriptors", site.reports + 1, LAST_DESCRIPTOR)

    def execute(self, site: Site) -> int:
        """Start the command in a session of its own, with every signal at its default and none blocked."""
        _, argv, env = self._addresses
        failure = errno.ENOENT
        at = _ORDER_AT + order.HEADER.size
        while place := self._area.unpack(order.ADDRESS, at)[0]:
            number = self._attempt(place, argv, env)
            if number == 0:
                return self._spawn.pid
            # What is there and can't be executed says more than what is not there at all.
            if number not in NOT_THERE:
                failure = number
            at += order.ADDRESS.size
        raise Failed("exec", failure)

    def tell_started(self, site: Site) -> None:
        """Tell the monitor that the command is executed, and close the standard streams."""
        bare.write("init", site.reports, self._started, self._started_size)
        bare.close_range("init", 0, 2)

    def wait_for_signal(self) -> int:
        """Wait for a signal and return its number."""
        while True:
            try:
                return bare.sigwait("init", self._mask)
            except Failed as failure:
                if failure.errno != errno.EINTR:
                    raise

    def reap(self) -> tuple[int, int]:
        """Return the pid and wait status of a child that has ended, 0 and 0 if none has."""
        pid = bare.wait_for_any("init", self._result)
        return (pid, self._area.unpack(_NUMBER, _RESULT_AT)[0]) if pid else (0, 0)

    def _attempt(self, place: int, argv: int, env: int) -> int:
        try:
            # A look costs less than a process that finds nothing to execute.
            bare.lstat("exec", place, self._result)
        except Failed:
            return errno.ENOENT
        return self._spawn.spawn(place, argv, env)


# What is told of in the plan.
STEPS: tuple[tuple[str, Callable[[Launch, Site], None]], ...] = (
    ("workdir", Launch.enter_workdir),
    ("stdio", Launch.set_stdio),
    ("descriptors", Launch.close_descriptors),
)
