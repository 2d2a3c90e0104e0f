"""The one door to the files of a cgroup hierarchy, cgroups(7).

Names are relative to its root, and none leads out of it. A failed write tells file and value.
"""

from __future__ import annotations

import contextlib
import errno
import os

_DIRECTORY_MODE = 0o755
_MADE_HERE = "user.jsched"


class Cgroupfs:
    """The files below `root`, which is absolute: the mount point of a hierarchy, or what several share."""

    def __init__(self, root: str) -> None:
        self.root = root

    def path(self, name: str) -> str:
        """Return the absolute path of a name; raises OSError (EXDEV) for one that leads out of the root."""
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise OSError(errno.EXDEV, "a path out of the cgroup hierarchy", name)
        return f"{self.root}/{name}" if name else self.root

    def read(self, name: str) -> str:
        """Return what a file says; raises OSError."""
        fd = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            content = part = os.read(fd, 65536)
            while part:
                part = os.read(fd, 65536)
                content += part
        finally:
            os.close(fd)
        return content.decode()

    def read_if_there(self, name: str) -> str | None:
        """Return what a file says, None if this kernel has no such file or won't tell; raises OSError."""
        try:
            return self.read(name)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                return None
            raise

    def write(self, name: str, value: str) -> None:
        """Write a value into a file that is there; raises OSError that tells the file and the value."""
        path = self.path(name)
        try:
            fd = self.open_for_writing(name)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError as error:
            number = error.errno or errno.EIO
            raise OSError(number, f"{os.strerror(number)} on writing {value!r}", path) from None

    def open_for_writing(self, name: str) -> int:
        """Return a close-on-exec descriptor of a file that is there; raises OSError."""
        return os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def has(self, name: str) -> bool:
        """Return whether there is a file or directory of that name."""
        return os.path.lexists(self.path(name))

    def make_directory(self, name: str) -> None:
        """Make a cgroup; raises OSError, FileExistsError if it is there."""
        os.mkdir(self.path(name), _DIRECTORY_MODE)

    def make_marked(self, name: str) -> None:
        """Make a cgroup if it is not there, marked as made by jsched; raises OSError."""
        with contextlib.suppress(FileExistsError):
            self.make_directory(name)
            # Without the mark, on a kernel that keeps none, it is as one of an administrator's: it stays.
            with contextlib.suppress(OSError):
                os.setxattr(self.path(name), _MADE_HERE, b"1", follow_symlinks=False)

    def is_marked(self, name: str) -> bool:
        """Return whether a cgroup was made by jsched, by whichever server."""
        try:
            return os.getxattr(self.path(name), _MADE_HERE, follow_symlinks=False) == b"1"
        except OSError:
            return False

    def remove_directory(self, name: str) -> None:
        """Remove a cgroup that nobody is in; raises OSError (EBUSY while somebody is)."""
        os.rmdir(self.path(name))

    def directories(self, name: str) -> list[str]:
        """Return the names of the cgroups directly below one; raises OSError."""
        with os.scandir(self.path(name)) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def names(self, name: str) -> list[str]:
        """Return the names of everything in a cgroup's directory; raises OSError."""
        return os.listdir(self.path(name))

    def below(self, name: str) -> list[str]:
        """Return a cgroup and all below it, the deepest first, those that vanish left out; raises OSError."""
        found: list[str] = []
        pending = [name]
        while pending:
            current = pending.pop()
            with contextlib.suppress(FileNotFoundError):
                # Two links are its name and its own dot: nothing below, and nothing to be listed.
                alone = os.stat(self.path(current)).st_nlink == 2
                pending.extend(f"{current}/{child}" for child in (() if alone else self.directories(current)))
                found.append(current)
        return found[::-1]
