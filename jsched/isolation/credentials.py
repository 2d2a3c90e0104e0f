"""The steps about users and privileges that do not depend on the job; the rest is in room."""

from __future__ import annotations

import errno
import os

from jsched.isolation.site import CLOSED, Site
from jsched.linux import privileges


def wait_for_maps(site: Site) -> None:
    """Wait until the monitor has written the maps, and become root of the user namespace where it has one."""
    if site.gate != CLOSED:
        if not os.read(site.gate, 1):
            raise OSError(errno.ESRCH, "the monitor is gone")
        os.close(site.gate)
        site.gate = CLOSED
    if site.sandbox.has_user_namespace and any(one.inside == 0 for one in site.sandbox.uid_map):
        _leave_groups(site)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)


def drop_bounding_set(site: Site) -> None:
    """Have no capability to gain by exec, and none that is anybody's for being user 0."""
    if site.sandbox.capabilities and not site.sandbox.has_user_namespace:
        raise PermissionError(errno.EPERM, "capabilities on the host")
    privileges.drop_from_bounding_set(site.sandbox.capabilities)
    # Init is to make one more namespace when it is the job's user already.
    until_exec = site.sandbox.has_user_namespace and site.sandbox.uid != 0
    privileges.lock_securebits(root_is_special=site.sandbox.capabilities != 0, until_exec=until_exec)


def forbid_new_privileges(site: Site) -> None:
    """Make setuid bits and file capabilities mean nothing."""
    privileges.set_no_new_privileges()


def _leave_groups(site: Site) -> None:
    # In a user namespace of an ordinary user setgroups(2) is forbidden, namespaces.write_id_maps(): its groups stay.
    if site.privileged:
        os.setgroups(())
