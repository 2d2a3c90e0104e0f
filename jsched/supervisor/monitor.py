"""The process that watches jobs, one after the other.

Who starts me: the launcher, by fork, before there is a job for me.
What I own: the process tree of the job that I was sent (I am its subreaper), runs/<id>, exits/<id>,
the end of the job in time. I take the next job only when nothing is left of the last.
When I end: when the server is gone or has closed my link; if a job runs then, after its end. And after a
job whose cgroup I could not get out of.
What outlives me: nothing of a job, unless I am killed: then the server ends what is left of it.
"""

from __future__ import annotations

import os
import select
import signal
from typing import NoReturn

from jsched.linux import process, syscalls
from jsched.supervisor import ending, wire
from jsched.supervisor.exit_room import ExitRoom
from jsched.supervisor.spares import Spares
from jsched.supervisor.watch import Monitor, Watch
from jsched.supervisor.wire import LaunchRequest, Report

# A server that is there has taken an exit record over within some milliseconds.
_SYNC_AFTER_MS = 100


def main(link: int) -> NoReturn:
    """Serve the server behind `link` until it is gone; status 1 says that there was a defect."""
    status = 1
    try:
        serve(link, _detach(link))
        status = 0
    except BaseException as defect:  # noqa: BLE001 a forked interpreter must end here
        ending.complain("", defect)
    finally:
        os._exit(status)


def serve(link: int, signals: int) -> None:
    """Watch the jobs that come through the link, each to its end; return when the server is gone."""
    pid = os.getpid()
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    monitor = Monitor(pid, process.start_time(pid), link, signals, null, ExitRoom())
    wire.send_report(link, Report("", monitor=(monitor.pid, monitor.start)))
    spares = Spares()
    last: LaunchRequest | None = None
    while True:
        if last is not None and not _is_readable(link, 0):
            spares.prepare(last, link)
        if last is not None and not _is_readable(link, _SYNC_AFTER_MS):
            ending.sync(last.exits_dir, last.job_id)
            last = None
        request = wire.receive_request(link)
        if request is None or _is_hung_up(link):
            # A server that went away with its request unanswered is not there to want it any more.
            break
        # Whoever asked for the end of the last job came too late; the next is not meant.
        syscalls.read_signalfd(signals)
        spare = spares.take(request)
        watch = Watch(monitor, request, spare, spares.forker)
        watch.run()
        last = request
        if watch.is_caught:
            break
    if last is not None:
        ending.sync(last.exits_dir, last.job_id)


def _detach(link: int) -> int:
    """Leave the launcher's session and descriptors behind; return the descriptor that signals are read from."""
    # Nothing but SIGKILL and SIGSTOP reaches a monitor by itself: it looks for what it wants.
    syscalls.block_all_signals()
    os.setsid()
    syscalls.prctl_set_child_subreaper()
    syscalls.prctl_set_name("jsched-monitor")
    syscalls.close_range(3, link - 1)
    syscalls.close_range(link + 1, syscalls.LAST_DESCRIPTOR)
    return syscalls.signalfd((signal.SIGCHLD, signal.SIGTERM))


def _is_readable(fd: int, milliseconds: int) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(milliseconds))


def _is_hung_up(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, 0)
    return bool(poller.poll(0))
