"""The process that forks inits, behind the walls that all jobs of one sandbox have in common.

Who starts me: a monitor between two jobs, by clone.
What I own: nothing. The inits that I fork are the monitor's children, not mine.
When I end: when the monitor closes my socket, or ends (PDEATHSIG).
What outlives me: the inits that I have forked.

I am root of the jobs' user namespace and nobody on the host, and in no PID namespace of theirs: no job can see me.
I touch little memory between two forks, so that little is copied for each; the monitor's is not copied at all.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import NoReturn

from jsched.isolation import init, plan, surroundings
from jsched.isolation.launch import Launch
from jsched.isolation.reports import FAILED, READY, encode
from jsched.isolation.room import Room
from jsched.isolation.sandbox import NONE
from jsched.isolation.site import Site
from jsched.linux import namespaces, privileges, syscalls

# What a fork has come to: a pid, or an errno with a minus.
ANSWER = struct.Struct("=i")
# Every init has its own; the user namespace is the one in which the common walls stand.
_NAMESPACES = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID | namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWUTS


def run(site: Site, room: Room, launch: Launch) -> NoReturn:
    """Build the common walls, tell the monitor, and fork an init for each message that comes through `site.orders`."""
    name = "forker"
    number = errno.ENOTRECOVERABLE
    try:
        syscalls.prctl_set_name("jsched-forker")
        for step in plan.COMMON:
            if step.applies(site.sandbox):
                name = step.name
                step.take(site)
        name = "parent-death"
        surroundings.die_with_monitor(site)
        name = "forker"
        privileges.set_not_dumpable()
        surroundings.forget_monitor(site)
        os.write(site.reports, encode(READY))
        _serve(site, room, launch)
        os._exit(0)
    except OSError as error:
        number = error.errno or number
    except MemoryError:
        number = errno.ENOMEM
    finally:
        # The forked interpreter must not go on as a second monitor.
        try:
            os.write(site.reports, encode(FAILED, name, number))
        finally:
            os._exit(init.EXIT_STATUS)


def _serve(site: Site, room: Room, launch: Launch) -> None:
    """Fork an init for each message, which brings its two descriptors; return when the monitor closes the socket."""
    with socket.socket(fileno=site.orders) as requests:
        flags = _NAMESPACES | namespaces.CLONE_PARENT
        if site.sandbox.network == NONE:
            flags |= namespaces.CLONE_NEWNET
        while True:
            message, descriptors, _, _ = socket.recv_fds(requests, 1, 2, socket.MSG_CMSG_CLOEXEC)
            if not message:
                return
            try:
                pid = namespaces.fork_into(flags)
            except OSError as error:
                pid = -(error.errno or errno.EAGAIN)
            if pid == 0:
                os.close(site.orders)
                os.close(site.reports)
                site.reports, site.orders = descriptors
                init.run(site, room, launch, behind=True)
            # Before the answer: then the monitor knows that init alone has the other ends.
            for fd in descriptors:
                os.close(fd)
            requests.send(ANSWER.pack(pid))
