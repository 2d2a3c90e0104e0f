"""The table of root file systems: which name stands for which tree."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from jsched.rootfs import Rootfs, name_taken
from jsched.store.connection import Connections
from jsched.store.rows import to_microseconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RootfsTable:
    """Names of root file systems. Every write that returned is on the disk."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def insert(self, rootfs: Rootfs) -> Rootfs:
        """Add a name, and return what it stands for: that of before, if it has stood for the same tree already.

        Raises AlreadyExists if it stands for another tree.
        """
        return await self._connections.write(lambda db: _insert(db, rootfs), grows=True)

    async def all(self) -> list[Rootfs]:
        """Return all of them, ordered by name."""
        return await self._connections.read(
            lambda db: [_to_rootfs(row) for row in db.execute("SELECT * FROM rootfs ORDER BY name")]
        )

    async def delete(self, name: str) -> None:
        """Remove a name."""
        await self._connections.write(lambda db: _delete(db, name))


def _insert(db: sqlite3.Connection, rootfs: Rootfs) -> Rootfs:
    row = db.execute("SELECT * FROM rootfs WHERE name = ?", (rootfs.name,)).fetchone()
    if row is not None:
        if row["digest"] != rootfs.digest:
            raise name_taken(rootfs.name)
        return _to_rootfs(row)
    db.execute(
        "INSERT INTO rootfs VALUES (?, ?, ?, ?, ?, ?)",
        (
            rootfs.name,
            rootfs.digest,
            rootfs.size,
            rootfs.entries,
            rootfs.uploaded_by,
            to_microseconds(rootfs.uploaded_at),
        ),
    )
    return rootfs


def _delete(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM rootfs WHERE name = ?", (name,))


def _to_rootfs(row: sqlite3.Row) -> Rootfs:
    return Rootfs(
        row["name"],
        row["digest"],
        row["size"],
        row["entries"],
        row["uploaded_by"],
        _EPOCH + timedelta(microseconds=row["uploaded_at"]),
    )
