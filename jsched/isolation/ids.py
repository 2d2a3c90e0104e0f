"""Whom jobs run as: the ids of each user namespace, chosen by the server.

Two jobs that run at the same time have no id of the host in common, so that none can do anything to the other.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from jsched.isolation.sandbox import IdRange

RANGE_SIZE = 65_536
# Above what distributions give to users (/etc/subuid) and systemd to containers, below 2^31.
FIRST_ID = 1_900_000_000
SLOTS = (2**31 - FIRST_ID) // RANGE_SIZE

# An ordinary user of the job's own: no user of the host by that number, as a rule, and not nobody.
USER = 10_000


class Ids(NamedTuple):
    """The fields of a Sandbox that say whom a job runs as."""

    uid: int
    gid: int
    uid_map: tuple[IdRange, ...] = ()
    gid_map: tuple[IdRange, ...] = ()


def in_range(slot: int, *, uid: int = USER, gid: int = USER, first: int = FIRST_ID) -> Ids:
    """Return ids in a user namespace with a range of its own, for a server that root runs.

    `slot` tells apart what runs at the same time, from 0; `uid` and `gid` are those inside. Raises ValueError
    for ids that are not in the range, or a slot beyond the last.
    """
    outside = first + slot * RANGE_SIZE
    if slot < 0 or outside + RANGE_SIZE > 2**32 - 2:
        raise ValueError(f"there is no id range {slot}")
    for number in (uid, gid):
        if not 0 <= number < RANGE_SIZE:
            raise ValueError(f"id {number} is not in a range of {RANGE_SIZE}")
    ids = (IdRange(0, outside, RANGE_SIZE),)
    return Ids(uid, gid, ids, ids)


def without_user_namespace(slot: int, *, first: int = FIRST_ID) -> Ids:
    """Return a user of the host that owns nothing, for root where the kernel refuses user namespaces."""
    inside = in_range(slot, first=first)
    return Ids(inside.uid_map[0].outside + USER, inside.gid_map[0].outside + USER)


def of_this_user() -> Ids:
    """Return the one user and group that an ordinary user may map: itself."""
    uid, gid = os.geteuid(), os.getegid()
    return Ids(uid, gid, (IdRange(uid, uid, 1),), (IdRange(gid, gid, 1),))
