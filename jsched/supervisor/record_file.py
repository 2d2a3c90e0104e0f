"""One file of a record: a line of JSON, and a line with the CRC-32 of the first, so half a file is no record.

It appears under its name whole; temporary names begin with ".".
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import stat
import time
from binascii import crc32
from collections.abc import Iterator
from typing import Any

Directory = str | os.PathLike[str]
Types = dict[str, tuple[type, ...]]

_MODE = 0o600
_MAX_SIZE = 65536
# What can't be a file of ours: not there, a symbolic link, a socket or a device without a driver.
_NO_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENODEV})
# Of times, sizes and process ids, here and in the database that they go to.
_LARGEST = 2**63 - 1


def path(directory: Directory, job_id: str) -> str:
    """Return where a job's record is in a directory; raises ValueError for what is no id."""
    if not job_id or "/" in job_id or job_id.startswith("."):
        raise ValueError(f"{job_id!r} is not a job id")
    return os.path.join(directory, job_id)


def write_once(directory: Directory, job_id: str, fields: dict[str, Any]) -> None:
    """Write a record; raises FileExistsError if there is one, else OSError."""
    with _temporary(directory, job_id, fields) as temporary:
        os.link(temporary, path(directory, job_id))


def write(directory: Directory, job_id: str, fields: dict[str, Any]) -> None:
    """Write a record in place of what is there; raises OSError."""
    with _temporary(directory, job_id, fields) as temporary:
        os.rename(temporary, path(directory, job_id))


def write_into(fd: int, directory: Directory, job_id: str, fields: dict[str, Any]) -> None:
    """Write a record into a file that has no name yet, and give it the record's; raises OSError.

    After a failure it can be done again.
    """
    content = _content(fields)
    os.ftruncate(fd, len(content))
    os.pwrite(fd, content, 0)
    target = path(directory, job_id)
    temporary = _temporary_path(target)
    within = os.open(os.path.dirname(temporary), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a directory's descriptor it is linkat(2), which alone follows the link of /proc.
        os.link(f"/proc/self/fd/{fd}", os.path.basename(temporary), dst_dir_fd=within, follow_symlinks=True)
        os.rename(temporary, target)
    finally:
        os.close(within)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def read(directory: Directory, job_id: str, types: Types) -> dict[str, Any] | None:
    """Return these fields of a record, each of one of its types; None if there is none that is whole.

    Fields that a reader does not know are skipped: monitors of one version meet servers of the next.
    """
    try:
        # Without O_NONBLOCK, a FIFO of that name would be waited for.
        fd = os.open(path(directory, job_id), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        content = os.read(fd, _MAX_SIZE)
    finally:
        os.close(fd)
    body, newline, checksum = content.partition(b"\n")
    if not newline or checksum != b"crc32 %08x\n" % crc32(body):
        return None
    try:
        fields = json.loads(body)
        # What a monitor of an earlier version did not know of is None, which not every field may be.
        known = {name: fields.get(name) for name in types}
    except (ValueError, AttributeError, RecursionError):
        return None
    whole = all(type(value) in types[name] and _is_sane(value) for name, value in known.items())
    return known if whole and known["job_id"] == job_id else None


@contextlib.contextmanager
def _temporary(directory: Directory, job_id: str, fields: dict[str, Any]) -> Iterator[str]:
    """Write a whole file under a temporary name, which is gone afterwards if nobody renamed it."""
    temporary = _temporary_path(path(directory, job_id))
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        content = _content(fields)
        while content:
            content = content[os.write(fd, content) :]
        yield temporary
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _content(fields: dict[str, Any]) -> bytes:
    body = json.dumps(fields, separators=(",", ":")).encode()
    return b"%s\ncrc32 %08x\n" % (body, crc32(body))


def _temporary_path(target: str) -> str:
    directory, name = os.path.split(target)
    return os.path.join(directory, f".{name}.{os.getpid()}.{time.monotonic_ns()}")


def _is_sane(value: object) -> bool:
    """Return whether a value can be stored and shown: numbers are finite, not negative and fit 64 bits."""
    if isinstance(value, float):
        return math.isfinite(value) and value >= 0
    return not isinstance(value, int) or 0 <= value <= _LARGEST
