"""The monitors that wait for a job: forked ahead of time, and used again."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable

from jsched.errors import Unavailable
from jsched.isolation.ids import SLOTS
from jsched.supervisor.launcher_link import LauncherLink
from jsched.supervisor.link import Link

# After a rush, more than the one spare stay for a while.
_MOST_IDLE = 64
_IDLE_SECONDS = 30.0
_RESTED = 4
# Whatever a monitor may gather over time ends with it.
_MOST_JOBS = 1000
# The launcher's socket has room for so many that it has not read.
_MOST_UNBORN = 64
# The last is that of trials.
_TRIAL_SLOT = SLOTS - 1


class Pool:
    """Monitors and who of them has no job; used on one event loop.

    `launcher` returns the launcher that forks new ones, and raises Unavailable if there is
    none; `began` is called when a monitor has said that it is there. `slots` are those of the id
    ranges that are in use.
    """

    def __init__(self, launcher: Callable[[], Awaitable[LauncherLink]], began: Callable[[], None]) -> None:
        self._launcher = launcher
        self._began = began
        self._links: set[Link] = set()
        self.slots: set[int | None] = set()
        # Should a job of an earlier server be adopted late, its slot is hardly one of the first here.
        self._last_slot = secrets.randbelow(_TRIAL_SLOT)
        # In the order in which they were used.
        self._idle: list[Link] = []
        self._room = asyncio.Semaphore(_MOST_UNBORN)
        self._filling: asyncio.Task[None] | None = None
        self._trimming: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, *, rested: bool = False) -> Link:
        """Return a monitor for a job, which is there or about to be; raises Unavailable if none can be had.

        The one that was used last, whose memory is warm; or, `rested`, of the last few the one that
        has had the longest time to make ready for another.
        """
        link = self._idle.pop(-min(len(self._idle), _RESTED) if rested else -1) if self._idle else await self._fork()
        self.fill()
        return link

    def give_back(self, link: Link) -> None:
        """Take a monitor back whose job is over, or let it go if enough of them wait."""
        if self._closed or link.jobs >= _MOST_JOBS or len(self._idle) >= _MOST_IDLE:
            link.close()
        elif link.alive:
            self._idle.append(link)
            self._trim_later()

    def fill(self) -> None:
        """Have a monitor ready for the next job, unless that is so already."""
        if not self._idle and self._filling is None and not self._closed:
            self._filling = asyncio.get_running_loop().create_task(self._add_spare())

    async def close(self) -> None:
        """Let all monitors go; those with a job watch it to its end."""
        self._closed = True
        if self._trimming is not None:
            self._trimming.cancel()
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait((self._filling,))
        for link in tuple(self._links):
            link.close()

    async def _add_spare(self) -> None:
        try:
            with contextlib.suppress(Unavailable):
                self.give_back(await self._fork())
        finally:
            self._filling = None

    async def _fork(self) -> Link:
        await self._room.acquire()
        link = Link(self._free_slot(), self._on_begin, self._on_end)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                ours.setblocking(False)
                launcher = await self._launcher()
                await link.open(ours)
                self._links.add(link)
                self.slots.add(link.slot)
            except BaseException:
                self._room.release()
                ours.close()
                raise
            launcher.fork(theirs)
        return link

    def _free_slot(self) -> int:
        """Return the next slot that nobody has: the one that was given back last is the last to be used again."""
        while True:
            self._last_slot = (self._last_slot + 1) % _TRIAL_SLOT
            if self._last_slot not in self.slots:
                return self._last_slot

    def _on_begin(self, link: Link) -> None:
        self._room.release()
        self._began()

    def _on_end(self, link: Link) -> None:
        if link not in self._links:
            return
        self._links.discard(link)
        self.slots.discard(link.slot)
        if not link.began:
            self._room.release()
        with contextlib.suppress(ValueError):
            self._idle.remove(link)

    def _trim_later(self) -> None:
        if self._trimming is None and len(self._idle) > 1:
            self._trimming = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._trim)

    def _trim(self) -> None:
        """Let those go that were not used since the last look; the spare stays."""
        self._trimming = None
        now = asyncio.get_running_loop().time()
        old = [link for link in self._idle[:-1] if now - link.used_at >= _IDLE_SECONDS]
        for link in old:
            link.close()
        self._idle = [link for link in self._idle if link not in old]
        self._trim_later()
