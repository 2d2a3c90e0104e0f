"""The directories of unpacked trees: each is there whole, under its digest, or not at all. Everything here blocks.

A tree is made in `.staging`, and is renamed from there; to remove it, it is renamed back. So
whatever is found in `.staging` at a start is of nobody.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Set
from pathlib import Path

from jsched.datadir import remove_tree
from jsched.errors import FailedPrecondition

# What uploads leave free for everything else: a part of the file system, and never more than this.
_FREE_PART = 20
_FREE_BYTES = 1024 * 1024 * 1024


class Trees:
    """The trees below `directory`. All of it is for the server's user alone (0700)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._staging = directory / ".staging"

    def path(self, digest: str) -> Path:
        """Return where the tree of this digest is, or would be."""
        return self.directory / digest

    def prepare(self, named: Set[str]) -> None:
        """Make the directories, and remove what is half-made or has no name; raises FailedPrecondition."""
        try:
            for directory in (self.directory, self._staging):
                directory.mkdir(mode=0o700, exist_ok=True)
                directory.chmod(0o700)
            for entry in self.directory.iterdir():
                if not entry.name.startswith(".") and entry.name not in named:
                    self._retire(entry)
            for entry in self._staging.iterdir():
                remove_tree(entry)
        except OSError as error:
            raise FailedPrecondition(f"directory {self.directory}: {error.strerror}", obj=str(self.directory)) from None

    def stage(self, digest: str) -> Path:
        """Return a new, empty directory to make this tree in."""
        path = self._staging / f"{digest}.{secrets.token_hex(4)}"
        path.mkdir(mode=0o700)
        return path

    def keep(self, staged: Path, digest: str) -> None:
        """Put a tree that is whole and on the disk in its place, for good; one that nobody has named makes way."""
        if self.path(digest).exists():
            remove_tree(self.retire(digest))
        staged.rename(self.path(digest))
        _sync(self.directory)
        _sync(self._staging)

    def retire(self, digest: str) -> Path:
        """Take a tree out of its place at once, and return where it is to be removed from."""
        return self._retire(self.path(digest))

    def room(self) -> int:
        """Return how many bytes uploads may still fill."""
        status = os.statvfs(self.directory)
        spare = min(status.f_blocks * status.f_frsize // _FREE_PART, _FREE_BYTES)
        return max(status.f_bavail * status.f_frsize - spare, 0)

    def _retire(self, path: Path) -> Path:
        retired = self._staging / f"{path.name[:64]}.{secrets.token_hex(4)}"
        path.rename(retired)
        return retired


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
