"""The library of root file systems without a server around it, for archives that it may refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from jsched.config import Config
from jsched.errors import InvalidArgument, JschedError, ResourceExhausted
from jsched.library import RootfsLibrary
from jsched.rootfs import Archive, Rootfs
from jsched.store import Store
from tests.helpers.archives import digest
from tests.helpers.trees import picture

_PIECE = 1024 * 1024


def small_config(root: Path, **fields: int) -> Config:
    """Return a configuration with its directories below `root`, and limits that are soon reached."""
    limits = {"max_rootfs_size": 64 * 1024 * 1024, "max_rootfs_entries": 1000, "rootfs_timeout": 30}
    return Config(data_dir=root / "data", log_dir=root / "logs", **(limits | fields))  # type: ignore[arg-type]


@asynccontextmanager
async def a_library(
    config: Config, in_use: Callable[[str, str | None], Sequence[str]] = lambda *_: ()
) -> AsyncIterator[RootfsLibrary]:
    """Open a library of its own; it must not break its database."""
    failures: list[JschedError] = []
    store = Store(config.database, failures.append)
    config.data_dir.mkdir(mode=0o700, exist_ok=True)
    await store.open()
    library = RootfsLibrary(config, store.rootfs, in_use)
    try:
        await library.open()
        yield library
    finally:
        await library.close()
        await store.close()
    assert failures == []


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    """Yield bytes as they arrive over the wire."""
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]


async def upload(library: RootfsLibrary, content: bytes, name: str = "it") -> Rootfs:
    """Upload a whole archive."""
    archive = Archive(name, digest(content), len(content))
    return await library.upload(archive, 0, in_pieces(content), by="admin")


def refusal(config: Config, content: bytes) -> JschedError:
    """Upload an archive that has to be refused, check that nothing of it is left, and return the error."""

    async def main() -> JschedError:
        async with a_library(config) as library:
            try:
                done = await upload(library, content)
            except (InvalidArgument, ResourceExhausted) as error:
                assert library.list() == ()
                return error
            raise AssertionError(f"the archive was taken: {done}")

    error = asyncio.run(main())
    assert set(picture(config.rootfs_dir)) == {".", ".staging", ".uploads"}
    return error
