"""Writing into a set: one run at a time, each file whole or not at all, private keys never open to others."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from jsched.errors import AlreadyExists, FailedPrecondition, InvalidArgument

# What a run that was killed leaves behind has this in front of its name.
MAKING = ".making-"


@contextlib.contextmanager
def locked(directory: Path, *, create: bool = False) -> Iterator[None]:
    """Hold the directory alone, so that runs at once can't make a mixed set.

    What an earlier run left half-made, private keys among it, is removed. With `create` the
    directory is made, for its owner alone, if it is not there. Raises InvalidArgument.
    """
    try:
        if create:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InvalidArgument(f"{directory} can't be used: {error.strerror}", obj=str(directory)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_mode & stat.S_IWOTH:
            raise FailedPrecondition(
                f"every user of this host may write to {directory}",
                obj=str(directory),
                hint="choose a directory of your own",
            )
        for stale in directory.glob(f"{MAKING}*"):
            shutil.rmtree(stale)
        yield
    finally:
        os.close(descriptor)


def put(directory: Path, files: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Put files into a directory that is locked, in this order, each at once; on the disk when it returns.

    Names may have directories before them, which are made for their owner alone. Names that
    end with `.key` have mode 0600, others 0644; a file that replaces another belongs to whom
    that belonged to and has its mode. Raises AlreadyExists if there is one and it may not be
    replaced, before anything is written; FailedPrecondition if it can't be written.
    """
    if not replace:
        check_free(directory, files)
    try:
        making = Path(tempfile.mkdtemp(prefix=MAKING, dir=directory))
        try:
            staged = {name: making / str(number) for number, name in enumerate(files)}
            staged = {name: path.with_suffix(Path(name).suffix) for name, path in staged.items()}
            for name, content in files.items():
                _write(staged[name], content, directory / name)
            for name in files:
                _make_parents(directory, Path(name))
                os.rename(staged[name], directory / name)
            for parent in {(directory / name).parent for name in files}:
                _sync(parent)
        finally:
            shutil.rmtree(making)
    except OSError as error:
        raise FailedPrecondition(
            f"certificates can't be written to {directory}: {error.strerror}", obj=str(directory)
        ) from None


def put_at(root: Path, place: Path, files: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Put files into a place inside a set that is locked, or into a directory elsewhere, made if it is not there."""
    inside = _below(place, root)
    if inside is not None:
        put(root, {str(inside / name): content for name, content in files.items()}, replace=replace)
        return
    with locked(place, create=True):
        put(place, files, replace=replace)


def check_free(directory: Path, names: Mapping[str, bytes] | tuple[str, ...], hint: str = "") -> None:
    """Raise AlreadyExists, naming them, if some of these files are there."""
    if there := [name for name in names if os.path.lexists(directory / name)]:
        raise AlreadyExists(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} in {directory} already, and nothing is "
            "overwritten",
            obj=str(directory),
            hint=hint,
        )


def _below(place: Path, root: Path) -> Path | None:
    try:
        return Path(os.path.realpath(place)).relative_to(os.path.realpath(root))
    except ValueError:
        return None


def _make_parents(directory: Path, name: Path) -> None:
    # One by one: with parents=True those between would be open to all that the umask lets in.
    for parent in reversed(name.parents):
        (directory / parent).mkdir(mode=0o700, exist_ok=True)


def _write(path: Path, content: bytes, replaces: Path) -> None:
    private = replaces.suffix == ".key"
    # The mode at creation: a chmod afterwards would leave a moment in which others can open the key.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if private else 0o644)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        with contextlib.suppress(FileNotFoundError):
            _take_after(descriptor, replaces.stat(), private)
        os.fsync(descriptor)


def _take_after(descriptor: int, other: os.stat_result, private: bool) -> None:
    # A server with a user of its own must be able to read what root renews for it.
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (other.st_uid, other.st_gid):
        os.fchown(descriptor, other.st_uid, other.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(other.st_mode) & (0o660 if private else 0o664))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
