"""The forker as its monitor sees it."""

from __future__ import annotations

import errno
import os
import select
import socket

from jsched.isolation import forker, start
from jsched.isolation.init_process import InitProcess, StepFailed
from jsched.isolation.sandbox import HOST, Sandbox
from jsched.linux import namespaces

# It forks within a millisecond, and is there once the common walls stand.
_SECONDS = 30.0


class Forker:
    """Forks inits of one sandbox, each a child of this process.

    Whoever waits for any child gets its pid too, should it end early, and has to call ended() then. Until close()
    it keeps the file systems busy that were mounted when it was forked.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Fork it; raises StepFailed, and so may fork_init() for a common wall that fails later."""
        self.sandbox = sandbox
        with start.step("clone"):
            self._mounts = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        flags = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWUTS
        try:
            self._process, self._requests = start.fork(sandbox, flags, forker.run)
        except BaseException:
            os.close(self._mounts)
            raise
        self._requests.settimeout(_SECONDS)
        self._reaped = False

    @staticmethod
    def can_serve(sandbox: Sandbox) -> bool:
        """Return whether inits of this sandbox may have walls in common: nothing of it was chosen for one job."""
        return sandbox.mode == HOST and not sandbox.binds and sandbox.has_user_namespace

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    def fits(self, sandbox: Sandbox) -> bool:
        """Return whether its walls are those of `sandbox`, the host's mounts are what they were, and it lives."""
        poller = select.poll()
        # The kernel tells of a change as an error and urgent data, proc_pid_mounts(5).
        poller.register(self._mounts, select.POLLPRI)
        return not self._reaped and self.sandbox == sandbox and not poller.poll(0)

    def is_ready(self, other: int, milliseconds: int) -> bool:
        """Wait until the common walls stand, but no longer than until the descriptor `other` is readable.

        Return whether they do. Raises StepFailed if they can't be built; then it is reaped and closed.
        """
        poller = select.poll()
        poller.register(self._process, select.POLLIN)
        poller.register(other, select.POLLIN)
        while not self._process.ready:
            if not any(fd == self._process.fileno() for fd, _ in poller.poll(milliseconds)):
                return False
            try:
                self._process.hear()
            except StepFailed:
                self._forget()
                raise
        return True

    def fork_init(self) -> tuple[InitProcess, socket.socket]:
        """Fork an init; return it, and the socket that its command goes through. Raises StepFailed."""
        with start.step("clone"):
            reports, told = os.pipe()
            orders, theirs = socket.socketpair()
        try:
            with start.step("clone"):
                socket.send_fds(self._requests, [b"."], [told, theirs.fileno()])
                answer = self._requests.recv(forker.ANSWER.size)
            pid = _pid(answer)
        except BaseException:
            os.close(reports)
            orders.close()
            raise
        finally:
            os.close(told)
            theirs.close()
        return InitProcess(pid, reports), orders

    def ended(self) -> None:
        """Take in that it has ended, and was reaped."""
        self._reaped = True

    def close(self) -> None:
        """End it, and reap it; the inits that it has forked go on."""
        self._forget()
        if self._reaped:
            self._process.close()
        else:
            self._process.kill()

    def _forget(self) -> None:
        self._requests.close()
        os.close(self._mounts)


def _pid(answer: bytes) -> int:
    result: int = forker.ANSWER.unpack(answer)[0] if answer else -errno.ESRCH
    if result < 0:
        raise StepFailed("clone", -result)
    return result
