from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jsched.errors import AlreadyExists
from jsched.rootfs import Rootfs
from jsched.store import Store
from jsched.store.schema import MIGRATIONS
from tests.unit.store.rig import run

ALPINE = Rootfs("alpine", "a" * 64, 5, 3, "admin", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))


def test_names_come_back_as_they_were(tmp_path: Path) -> None:
    """What was inserted is there after the database was opened again, ordered by name, until it is deleted."""

    async def write(store: Store) -> None:
        await store.rootfs.insert(replace(ALPINE, name="z"))
        assert await store.rootfs.insert(ALPINE) == ALPINE

    async def read(store: Store) -> None:
        assert await store.rootfs.all() == [ALPINE, replace(ALPINE, name="z")]
        await store.rootfs.delete("alpine")
        await store.rootfs.delete("none")
        assert [rootfs.name for rootfs in await store.rootfs.all()] == ["z"]

    run(tmp_path, write)
    run(tmp_path, read)


def test_a_name_stands_for_one_tree(tmp_path: Path) -> None:
    """The same name again is what it was if the digest is the same, and AlreadyExists if not."""

    async def body(store: Store) -> None:
        await store.rootfs.insert(ALPINE)
        assert await store.rootfs.insert(replace(ALPINE, uploaded_by="bob")) == ALPINE
        with pytest.raises(AlreadyExists):
            await store.rootfs.insert(replace(ALPINE, digest="b" * 64))
        assert await store.rootfs.all() == [ALPINE]

    run(tmp_path, body)


def test_a_database_of_before_gets_the_table(tmp_path: Path) -> None:
    """A database without root file systems is brought up to date, with its jobs as they were."""
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        db.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1")

    async def body(store: Store) -> None:
        assert await store.rootfs.insert(ALPINE) == ALPINE
        assert await store.live() == []

    run(tmp_path, body)
