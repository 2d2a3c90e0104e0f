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

    @property
    def deed(self) -> str:
        """What a caller does with the verb, before the thing that it is done to."""
        return _DEEDS.get(self, (self.value,))[0]

    @property
    def deeds(self) -> str:
        """What a caller does with the verb in general."""
        return " ".join(_DEEDS.get(self, (self.value,)))


# Of verbs that can't be said as they are.
_DEEDS = {
    Verb.STATUS: ("see the status of", "jobs"),
    Verb.ROOTFS_UPLOAD: ("upload", "root file systems"),
    Verb.ROOTFS_LIST: ("list", "root file systems"),
    Verb.ROOTFS_DELETE: ("delete", "root file systems"),
    Verb.STATS: ("see", "stats"),
    Verb.REFLECTION: ("use", "reflection"),
}


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
