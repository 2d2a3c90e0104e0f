"""Archives that have arrived in part or whole, and are not unpacked yet. What is not `async` here blocks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import time
from io import BufferedReader
from pathlib import Path

from jsched.errors import FailedPrecondition, InvalidArgument, OutOfRange, ResourceExhausted
from jsched.rootfs import Archive

# For how long nobody may go on with an upload before it is forgotten.
KEPT_SECONDS = 24 * 3600
# No two users are taken for one by chance, and a file's name is not too long.
_OWNER_DIGITS = 32


def partial_key(digest: str, visible_to: str | None = None) -> str:
    """Return what stands for an archive that is arriving.

    Who sees only what is of one user neither learns how much of it others have sent, nor goes on from there.
    """
    return (
        digest if visible_to is None else f"{digest}.{hashlib.sha256(visible_to.encode()).hexdigest()[:_OWNER_DIGITS]}"
    )


class Partials:
    """The files of unfinished uploads below `directory`, one a key of partial_key()."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def prepare(self) -> None:
        """Make the directory and forget what nobody came back for; raises FailedPrecondition."""
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self.forget_old()
        except OSError as error:
            raise FailedPrecondition(
                f"directory {self._directory}: {error.strerror}", obj=str(self._directory)
            ) from None

    def forget_old(self) -> None:
        """Remove what nobody has added to for a day."""
        latest = time.time() - KEPT_SECONDS
        for path in self._directory.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < latest:
                    path.unlink()

    def path(self, key: str) -> Path:
        """Return where an archive's bytes are."""
        return self._directory / key

    def length(self, key: str) -> int:
        """Return how many bytes of an archive are there."""
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return 0

    def forget(self, key: str) -> None:
        """Remove what there is of an archive."""
        self.path(key).unlink(missing_ok=True)

    def open(self, archive: Archive, key: str, offset: int) -> Partial:
        """Return an archive to go on with at `offset`; raises OutOfRange if that is not where it stands."""
        length = self.length(key)
        if offset != length:
            raise OutOfRange(
                f"{length} bytes of this archive have arrived, not {offset}",
                obj=archive.name,
                hint="ask where to go on, and go on there",
            )
        return Partial(self.path(key), archive, length)

    def open_whole(self, archive: Archive, key: str) -> BufferedReader:
        """Open an archive that has arrived, for reading.

        Raises InvalidArgument unless it is the one that was announced, FailedPrecondition if it
        was refused meanwhile, to somebody who had sent it too.
        """
        try:
            file = self.path(key).open("rb")
        except FileNotFoundError:
            raise FailedPrecondition(
                "nothing of this archive is here any more", obj=archive.name, hint="upload it again"
            ) from None
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != archive.digest:
            file.close()
            raise InvalidArgument(
                f"what has arrived has the digest {found}, not {archive.digest}",
                obj=archive.name,
                hint="it was damaged on its way, or the file has changed meanwhile: upload it again",
            )
        return file


class Partial:
    """An archive that is arriving. Who writes to it holds `writing`, and looks before whether it is `superseded`."""

    def __init__(self, path: Path, archive: Archive, length: int) -> None:
        self._path = path
        self._archive = archive
        # None until the first byte is there: what sends none leaves no file.
        self._descriptor: int | None = None
        self.length = length
        self.writing = asyncio.Lock()
        self.superseded = False

    async def supersede(self) -> None:
        """Let another upload go on in its place: once this returns, nothing more is written."""
        self.superseded = True
        async with self.writing:
            return

    def write(self, data: bytes) -> None:
        """Add bytes; raises ResourceExhausted on a full disk."""
        view = memoryview(data)
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            while view:
                written = os.pwrite(self._descriptor, view, self.length)
                self.length += written
                view = view[written:]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ResourceExhausted("no space left on the server's disk", obj=self._archive.name) from None
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
