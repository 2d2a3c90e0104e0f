"""What an engine works with: its parts, opened in order, and let go of in reverse."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from jsched import datadir
from jsched.census import Census
from jsched.config import Config
from jsched.confiner import Confiner
from jsched.draining import Draining
from jsched.environment import home_directory
from jsched.errors import JschedError
from jsched.library import RootfsLibrary
from jsched.lifecycle import Lifecycle
from jsched.output.logfile import LogFiles
from jsched.output.piece import Frame
from jsched.output.watcher import Watcher
from jsched.resources import Resources
from jsched.store import Store
from jsched.supervisor.client import Supervisor

# For what is under way when the time to drain is over: a write that has begun.
_LAST_MOMENT = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What is open while an engine is."""

    store: Store
    rootfs: RootfsLibrary
    logs: LogFiles
    resources: Resources
    lifecycle: Lifecycle
    census: Census


async def open_parts(
    config: Config,
    stack: AsyncExitStack,
    draining: Draining,
    fail: Callable[[JschedError], None],
    frame: Frame | None,
) -> Parts:
    """Take the data directory, open everything, and find the jobs of the engine before; `stack` closes it again.

    `fail` is called if the database has failed; `frame` is for pieces of output that are sent as they are read.
    Raises what `Engine.open` does.
    """

    def users_of(digest: str, visible_to: str | None) -> Sequence[str]:
        # Each needs the other, and the lifecycle is made last.
        return lifecycle.users_of(digest, visible_to)

    stack.callback(os.close, await asyncio.to_thread(datadir.prepare, config))
    # Here, and not when the first job asks on the event loop: a directory service may take long.
    await asyncio.to_thread(home_directory)
    store = Store(config.database, fail)
    await store.open()
    stack.push_async_callback(store.close)
    rootfs = RootfsLibrary(config, store.rootfs, users_of)
    await rootfs.open()
    stack.push_async_callback(rootfs.close)
    watcher = Watcher()
    watcher.open()
    stack.callback(watcher.close)
    logs = LogFiles(watcher, frame)
    making = asyncio.ensure_future(asyncio.to_thread(Resources, config))
    stack.push_async_callback(_close_resources, making)
    resources = await asyncio.shield(making)
    confiner = await asyncio.to_thread(Confiner, config)
    supervisor = Supervisor(
        runs_dir=config.runs_dir,
        exits_dir=config.exits_dir,
        stops_dir=config.stops_dir,
        log_gid=await asyncio.to_thread(datadir.log_gid, config),
        start_timeout=config.start_timeout,
    )
    await supervisor.open()
    stack.push_async_callback(supervisor.close)
    lifecycle = Lifecycle(config, store, supervisor, resources, confiner, rootfs, logs.finish)
    stack.push_async_callback(_close_lifecycle, lifecycle, draining)
    watcher.watch_directory(config.exits_dir, lifecycle.exit_record_arrived)
    await lifecycle.recover()
    return Parts(store, rootfs, logs, resources, lifecycle, Census(store, resources, logs, lifecycle.jobs))


async def _close_lifecycle(lifecycle: Lifecycle, draining: Draining) -> None:
    await lifecycle.close(max(_LAST_MOMENT, draining.seconds_left))


async def _close_resources(making: asyncio.Future[Resources]) -> None:
    """Remove the cgroups, also those that a thread still makes for an engine that is not opened any more."""
    await asyncio.wait([making])
    if not making.cancelled() and making.exception() is None:
        await asyncio.to_thread(making.result().close)
