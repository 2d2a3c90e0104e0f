"""Where the development server of a directory keeps its things."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jsched.errors import FailedPrecondition, Unavailable


class Places(NamedTuple):
    """The files of one development server; all under `root`."""

    root: Path

    @property
    def data(self) -> Path:
        """The server's data directory, and what is known of its process."""
        return self.root / ".jsched"

    @property
    def logs(self) -> Path:
        """The jobs' output."""
        return self.root / "logs"

    @property
    def certs(self) -> Path:
        """The development certificates."""
        return self.root / "certs"

    @property
    def admin(self) -> Path:
        """The client's configuration with the admin's certificate."""
        return self.certs / "admin.toml"

    @property
    def output(self) -> Path:
        """What the server prints."""
        return self.data / "server.log"

    @property
    def record(self) -> Path:
        """Which process the server is; only this is believed, and only after a look at /proc."""
        return self.data / "server.json"

    @property
    def pid_file(self) -> Path:
        """The server's process id, for people to type `kill` with."""
        return self.data / "server.pid"

    def show(self, path: Path) -> str:
        """Return `path` as it is shortest to type here."""
        with contextlib.suppress(ValueError):
            return str(path.relative_to(Path.cwd()))
        return str(path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second `jsched dev` out of this directory while the first one works.

        Raises FailedPrecondition if the directory can't be written, Unavailable if another works.
        """
        try:
            self.data.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self.data / "dev.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FailedPrecondition(
                f"directory {self.data}: {(error.strerror or '').lower()}",
                obj=str(self.data),
                hint="work in a clone of your own, or as the user that owns this one",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Unavailable("another make works on the server of this directory", hint="wait for it") from None
        finally:
            os.close(descriptor)


def here() -> Places:
    """Return the places of the current directory."""
    return Places(Path.cwd())
