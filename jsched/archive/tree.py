"""The tree that an archive becomes: written by descriptor, below one directory and through no link.

Directories belong to the process that writes until `finish` gives them their owners and
modes: what was made before must not keep the rest from being made.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Set
from typing import NamedTuple

from jsched.archive.refusal import Refused
from jsched.linux.openat2 import openat2

_PATH_ONLY = os.O_PATH | os.O_DIRECTORY
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY
_OPEN_PARENTS = 32
# No setuid, setgid; the sticky bit means something on directories alone.
_FILE_BITS, _DIRECTORY_BITS = 0o777, 0o1777


class Meta(NamedTuple):
    """Whose an entry is, what may be done with it, and when it was changed (seconds since the epoch)."""

    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0


class Tree:
    """The tree below the descriptor `root`; paths are bytes without "." and "..", b"" is the root.

    With `own` false every entry keeps the owner that it was made with. Raises Refused for what
    the archive is at fault for, and OSError.
    """

    def __init__(self, root: int, *, own: bool) -> None:
        self._root = root
        self._own = own
        self._parents: dict[bytes, int] = {}
        self._directories: dict[bytes, Meta] = {b"": Meta(0o755)}
        self.size = 0

    def directory(self, path: bytes, meta: Meta) -> None:
        """Make a directory, or give one that is there this owner and mode."""
        if path:
            parent, name = self._place(path)
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                    self._unlink(parent, name)
                    os.mkdir(name, 0o700, dir_fd=parent)
        self._directories[path] = meta

    def file(self, path: bytes, meta: Meta, content: Iterable[bytes]) -> None:
        """Make a file, in place of a file or link that is there."""
        parent, name = self._place(path)
        try:
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        except FileExistsError:
            self._unlink(parent, name)
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        try:
            for piece in content:
                self._write(descriptor, piece)
            self._give(descriptor, meta, _FILE_BITS)
        finally:
            os.close(descriptor)

    def symlink(self, path: bytes, target: bytes, meta: Meta) -> None:
        """Make a symbolic link, in place of a file or link that is there."""
        parent, name = self._place(path)
        try:
            os.symlink(target, name, dir_fd=parent)
        except FileExistsError:
            self._unlink(parent, name)
            os.symlink(target, name, dir_fd=parent)
        os.utime(name, (meta.mtime, meta.mtime), dir_fd=parent, follow_symlinks=False)
        if self._own:
            os.chown(name, meta.uid, meta.gid, dir_fd=parent, follow_symlinks=False)

    def link(self, path: bytes, target: bytes) -> None:
        """Make a hard link to a file of this tree, in place of a file or link that is there."""
        at, old = self._existing(target)
        if at is None or not _is_file(at, old):
            raise Refused("it is a hard link to what is not a file that came before it")
        if path == target:
            return
        # Not kept among the parents, where making room for another could close it.
        at = os.dup(at)
        try:
            parent, name = self._place(path)
            try:
                os.link(old, name, src_dir_fd=at, dst_dir_fd=parent, follow_symlinks=False)
            except FileExistsError:
                self._unlink(parent, name)
                os.link(old, name, src_dir_fd=at, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(at)

    def remove(self, path: bytes, keep: Set[bytes], *, itself: bool) -> None:
        """Remove a path and all below it, but nothing that is in `keep`; not the path itself if not `itself`."""
        if not path:
            self._clear(os.dup(self._root), path, keep)
            return
        parent, name = self._existing(path)
        if parent is None or not _exists(parent, name):
            return
        parent = os.dup(parent)
        try:
            if itself:
                self._remove(parent, name, path, keep)
            elif stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                self._clear(openat2(parent, name, _LIST), path, keep)
        finally:
            os.close(parent)
            self._forget_parents()

    def is_directory(self, path: bytes) -> bool:
        """Return whether there is a directory at `path`, not a link to one."""
        parent, name = self._existing(path)
        try:
            return parent is not None and stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def finish(self) -> None:
        """Give all directories their owners and modes, the deepest first."""
        self._forget_parents()
        for path in sorted(self._directories, key=lambda path: path.count(b"/") if path else -1, reverse=True):
            descriptor = openat2(self._root, path or b".", _LIST)
            try:
                self._give(descriptor, self._finished(path), _DIRECTORY_BITS)
            finally:
                os.close(descriptor)

    def _finished(self, path: bytes) -> Meta:
        meta = self._directories[path]
        # Whoever is not root can't move a directory that he may not write to.
        return meta if self._own or path else meta._replace(mode=meta.mode | 0o700)

    def _give(self, descriptor: int, meta: Meta, bits: int) -> None:
        os.fchmod(descriptor, meta.mode & bits)
        os.utime(descriptor, (meta.mtime, meta.mtime))
        # At last: after it the file may be somebody else's.
        if self._own:
            os.fchown(descriptor, meta.uid, meta.gid)

    def _write(self, descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        self.size += len(data)

    def _place(self, path: bytes) -> tuple[int, bytes]:
        """Return a path's directory, made if it was not there, and the last part of the path."""
        above, _, name = path.rpartition(b"/")
        return self._parent(above), name

    def _existing(self, path: bytes) -> tuple[int | None, bytes]:
        above, _, name = path.rpartition(b"/")
        try:
            return self._open(above), name
        except (FileNotFoundError, NotADirectoryError):
            return None, name

    def _parent(self, path: bytes) -> int:
        try:
            return self._open(path)
        except FileNotFoundError:
            above, name = self._place(path)
            os.mkdir(name, 0o700, dir_fd=above)
            self._directories[path] = Meta(0o755)
            return self._open(path)

    def _open(self, path: bytes) -> int:
        if not path:
            return self._root
        descriptor = self._parents.get(path)
        if descriptor is None:
            try:
                descriptor = openat2(self._root, path, _PATH_ONLY)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise Refused("its path leads through a symbolic link") from None
                if error.errno == errno.ENOTDIR:
                    raise Refused("its path leads through what is not a directory") from None
                raise
            if len(self._parents) >= _OPEN_PARENTS:
                os.close(self._parents.pop(next(iter(self._parents))))
            self._parents[path] = descriptor
        return descriptor

    def _forget_parents(self) -> None:
        for descriptor in self._parents.values():
            os.close(descriptor)
        self._parents.clear()

    def _unlink(self, parent: int, name: bytes) -> None:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            raise Refused("it would replace a directory")
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            self.size -= status.st_size
        os.unlink(name, dir_fd=parent)

    def _clear(self, descriptor: int, path: bytes, keep: Set[bytes]) -> bool:
        """Remove what is in a directory, close it, and return whether it is empty now."""
        try:
            prefix = path + b"/" if path else b""
            names = [os.fsencode(name) for name in os.listdir(descriptor)]
            removed = [self._remove(descriptor, name, prefix + name, keep) for name in names]
            return all(removed)
        finally:
            os.close(descriptor)

    def _remove(self, parent: int, name: bytes, path: bytes, keep: Set[bytes]) -> bool:
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            empty = self._clear(openat2(parent, name, _LIST), path, keep)
            if path in keep or not empty:
                return False
            os.rmdir(name, dir_fd=parent)
            self._directories.pop(path, None)
            return True
        if path in keep:
            return False
        self._unlink(parent, name)
        return True


def _is_file(parent: int, name: bytes) -> bool:
    return _exists(parent, name) and stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _exists(parent: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
