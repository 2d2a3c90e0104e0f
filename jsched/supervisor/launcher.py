"""The process that forks monitors.

Who starts me: the server, which hands me one socket; see wire.
What I own: nothing but the monitors' zombies; if I am killed, the server starts another.
When I end: when the server is gone, or has closed its end of the socket.
What outlives me: every monitor and its job.

It is single-threaded and imports little, so that its forks are cheap and safe.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import sys

from jsched.linux import priority, privileges, process, syscalls
from jsched.supervisor import command, last_words, monitor, wire
from jsched.supervisor.wire import Report

_OF_THE_C_LIBRARY = (32, 33)


def main(server: int) -> None:
    """Serve until the server is gone; the argument is an inherited descriptor."""
    server = _settle(server)
    kept = last_words.keep()
    # Asked here, it is known in every monitor and init.
    process.boot_id()
    privileges.last_capability()
    # What lives now lives in every monitor: a collection would copy its pages for nothing.
    gc.disable()
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=server) as connection:
        serve(connection)
    last_words.pass_on(kept)


def serve(server: socket.socket) -> None:
    """Fork a monitor for each link that the server sends, and reap those that have ended."""
    # Blocked for good, so each monitor is born with it blocked and misses no child's end.
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGCHLD})
    signals = syscalls.signalfd((signal.SIGCHLD,))
    poller = select.poll()
    poller.register(server, select.POLLIN)
    poller.register(signals, select.POLLIN)
    server.send(wire.READY)
    while True:
        for fd, _ in poller.poll():
            if fd == signals:
                syscalls.read_signalfd(signals)
                _reap()
                continue
            link = _receive(server)
            if link is None:
                return
            _fork(link)


def _receive(server: socket.socket) -> int | None:
    """Return the monitor's end of a new link, None if the server is gone."""
    try:
        message, descriptors, _, _ = socket.recv_fds(server, len(wire.FORK), 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None
    return descriptors[0] if message else None


def _fork(link: int) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        wire.send_report(link, Report("", failed_step="fork", errno=error.errno or errno.EAGAIN))
        pid = -1
    if pid == 0:
        monitor.main(link)
    os.close(link)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _settle(server: int) -> int:
    """Keep nothing of the server's but the socket, as a low close-on-exec descriptor, and stderr."""
    for fd in range(3):
        # Closed standard streams of the server would give their numbers to files.
        with contextlib.suppress(OSError):
            os.fstat(fd)
            continue
        os.open(os.devnull, os.O_RDWR)
    syscalls.close_range(3, server - 1)
    syscalls.close_range(server + 1, syscalls.LAST_DESCRIPTOR)
    settled = os.dup(server)
    os.close(server)
    # Python ignores SIGPIPE and SIGXFSZ, the server may have inherited more.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in command.IGNORED_BY_MONITORS else signal.SIG_DFL)
    # glibc's posix_spawn() leaves its own two ignored in what it starts: a server run by make hands them on.
    for own in _OF_THE_C_LIBRARY:
        syscalls.rt_sigaction_default(own)
    syscalls.prctl_set_name("jsched-launcher")
    # The server may come before jobs; nobody else does.
    priority.give_up_precedence()
    os.chdir("/")
    os.umask(0o077)
    return settled


if __name__ == "__main__":
    main(int(sys.argv[1]))
