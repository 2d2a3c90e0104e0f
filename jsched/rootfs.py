"""The values of uploaded root file systems: what a name stands for, and what an upload says of itself."""

from __future__ import annotations

import re
from datetime import datetime

from jsched.errors import AlreadyExists, InvalidArgument
from jsched.frozen import frozen

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@frozen
class Rootfs:
    """A root file system and its name.

    `digest` is the SHA-256 of the archive it came from, in hexadecimal; `size` how many bytes
    its files hold, `entries` how many members the archive had. `used_by` are the ids of the
    jobs that run in it.
    """

    name: str
    digest: str
    size: int
    entries: int
    uploaded_by: str
    uploaded_at: datetime
    used_by: tuple[str, ...] = ()


@frozen
class Archive:
    """An archive about to be uploaded; checked when it is made.

    `size` is its length in bytes, `digest` its SHA-256 in hexadecimal. Raises InvalidArgument
    naming the field.
    """

    name: str
    digest: str
    size: int

    def __post_init__(self) -> None:
        check_name(self.name)
        check_digest(self.digest)
        if self.size <= 0:
            raise InvalidArgument(f"size is {self.size} bytes, and has to be more than 0", obj="size")


def check_name(name: str) -> None:
    """Raise InvalidArgument unless `name` can be the name of a root file system."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"name {name!r} is not 1 to 63 lower-case letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit",
            obj="name",
        )


def check_digest(digest: str) -> None:
    """Raise InvalidArgument unless `digest` is a SHA-256 as 64 lower-case hexadecimal digits."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidArgument("digest is not a SHA-256 in 64 lower-case hexadecimal digits", obj="digest")


def name_taken(name: str) -> AlreadyExists:
    """Return the error for a name that stands for another root file system."""
    return AlreadyExists(
        f"root file system {name!r} exists, with other content", obj=name, hint="delete it, or choose another name"
    )
