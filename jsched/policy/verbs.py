"""What a caller can ask for, and how far that may reach."""

from __future__ import annotations

import enum


class Verb(enum.Enum):
    """What a caller can ask for; the values are what people read."""

    START = "start"
    STOP = "stop"
    STATUS = "status"
    STREAM = "stream"
    LIST = "list"
    WAIT = "wait"
    DELETE = "delete"
    ROOTFS_UPLOAD = "rootfs upload"
    ROOTFS_LIST = "rootfs list"
    ROOTFS_DELETE = "rootfs delete"
    STATS = "stats"
    REFLECTION = "reflection"

    @property
    def key(self) -> str:
        """The verb's name in a policy file."""
        return self.value.replace(" ", "_")


class Reach(enum.IntEnum):
    """Whose things a verb is for: nobody's, the caller's own, or everybody's.

    A verb that is about nothing that has an owner (start, rootfs upload, reflection) is allowed
    by OWN as by ANY.
    """

    NONE = 0
    OWN = 1
    ANY = 2

    @property
    def word(self) -> str:
        """The reach as a policy file has it."""
        return self.name.lower()


# Who may use one of these on a job knows that it is there.
SIGHT = (Verb.STATUS, Verb.STREAM, Verb.LIST, Verb.WAIT)
