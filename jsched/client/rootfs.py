"""What uploads have in common, blocking or not: reading the archive, the messages, and the answers' values."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC
from io import BufferedReader
from pathlib import Path
from typing import Any

from jsched.errors import InvalidArgument, JschedError, OutOfRange
from jsched.rootfs import Archive, Rootfs, check_name
from jsched.v1 import rootfs_pb2 as pb

# Called with how many bytes of how many are on their way.
OnProgress = Callable[[int, int], None]
# A message costs the same whatever its size; this is a quarter of what servers take.
_PIECE = 1024 * 1024
# How often a server may answer that it stands elsewhere in the archive than it just said.
_CHANGES = 5


class Upload:
    """One archive on its way, over as many calls as it takes; `error` is why it could not be read on.

    Raises InvalidArgument for a file that can't be read, or is no file, and for a bad name.
    """

    def __init__(self, path: str | os.PathLike[str], name: str, on_progress: OnProgress | None) -> None:
        check_name(name)
        self.error: JschedError | None = None
        self._path = Path(path)
        self._on_progress = on_progress
        self._file = self._open()
        try:
            self.archive = self._measure(name)
        except BaseException:
            self._file.close()
            raise
        self._furthest = -1
        self._changes = 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def advanced(self, offset: int) -> bool:
        """Return whether the server has answered for the first time, or has more of it than it had before."""
        further = offset > self._furthest
        self._furthest = max(offset, self._furthest)
        return further

    def goes_on_after(self, error: JschedError) -> bool:
        """Return whether to ask again where to go on: what an earlier call had sent may have come in late."""
        self._changes += 1
        return isinstance(error, OutOfRange) and self._changes <= _CHANGES

    def messages(self, offset: int, complete: bool) -> Iterator[pb.UploadRootfsRequest]:
        """Yield the messages of a call that begins at `offset`; the header alone if the server has the tree already."""
        archive = self.archive
        header = pb.RootfsUploadHeader(name=archive.name, digest=archive.digest, size=archive.size, offset=offset)
        yield pb.UploadRootfsRequest(header=header)
        position = archive.size if complete else offset
        while True:
            if self._on_progress is not None:
                self._on_progress(position, archive.size)
            if position >= archive.size:
                return
            data = self._read(position, min(_PIECE, archive.size - position))
            position += len(data)
            yield pb.UploadRootfsRequest(data=data)

    def _open(self) -> BufferedReader:
        try:
            return self._path.open("rb")
        except OSError as error:
            raise self._unreadable(error) from None

    def _measure(self, name: str) -> Archive:
        try:
            digest = hashlib.file_digest(self._file, "sha256").hexdigest()
            size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise self._unreadable(error) from None
        if not size:
            raise InvalidArgument(f"file {self._path} is empty", obj="file")
        return Archive(name, digest, size)

    def _read(self, position: int, count: int) -> bytes:
        try:
            data = os.pread(self._file.fileno(), count, position)
        except OSError as error:
            self.error = self._unreadable(error)
            raise self.error from None
        if not data:
            self.error = InvalidArgument(f"file {self._path} has become shorter while it was sent", obj="file")
            raise self.error
        return data

    def _unreadable(self, error: OSError) -> InvalidArgument:
        return InvalidArgument(f"file {self._path}: {error.strerror}", obj="file")


def upload_position(digest: str) -> pb.GetRootfsUploadRequest:
    """Return the request for where to go on with an archive."""
    return pb.GetRootfsUploadRequest(digest=digest)


def list_rootfs() -> pb.ListRootfsRequest:
    """Return the request for all root file systems."""
    return pb.ListRootfsRequest()


def delete(name: str) -> pb.DeleteRootfsRequest:
    """Return the request for a removal; raises InvalidArgument for what can't be a name."""
    check_name(name)
    return pb.DeleteRootfsRequest(name=name)


def decode(message: Any) -> Rootfs:
    """Return the root file system of a message."""
    return Rootfs(
        name=message.name,
        digest=message.digest,
        size=message.size,
        entries=message.entries,
        uploaded_by=message.uploaded_by,
        uploaded_at=message.uploaded_at.ToDatetime(tzinfo=UTC),
        used_by=tuple(message.job_ids),
    )
