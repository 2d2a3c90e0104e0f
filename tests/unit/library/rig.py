"""A library that a test may do anything with, and archives to upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from jsched.config import Config
from jsched.library import RootfsLibrary
from tests.helpers.archives import member, small, tar
from tests.helpers.library import a_library
from tests.helpers.trees import picture

GOOD = small()
OTHER = tar(member("other", b"other"))


def run(config: Config, body: Callable[[RootfsLibrary], Awaitable[None]], **more: object) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), a_library(config, **more) as library:  # type: ignore[arg-type]
            await body(library)

    asyncio.run(main())


def on_disk(config: Config) -> set[str]:
    """Return all that the library has on the disk, its own directories aside."""
    below = {name.split("/")[0] for name in picture(config.rootfs_dir) if not name.startswith(".")}
    return below | {name for name in picture(config.rootfs_dir) if name.startswith((".staging/", ".uploads/"))}


async def queued(queue: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    while (piece := await queue.get()) is not None:
        yield piece
