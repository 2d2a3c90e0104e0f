"""The monitors that wait for a job: forked ahead of time, and used again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from jsched.errors import ResourceExhausted, Unavailable
from jsched.supervisor import failures
from jsched.supervisor.launcher_link import LauncherLink
from jsched.supervisor.link import Link
from jsched.supervisor.slots import Slots

# After a rush, more than the one spare stay for a while.
_MOST_IDLE = 64
_IDLE_SECONDS = 30.0
_RESTED = 4
# Whatever a monitor may gather over time ends with it.
_MOST_JOBS = 1000
# The launcher's socket has room for so many that it has not read.
_MOST_UNBORN = 64


class Pool:
    """Monitors and who of them has no job; used on one event loop.

    `launcher` returns the launcher that forks new ones, and raises Unavailable if there is
    none; `began` is called when a monitor has said that it is there. `slots` are those of the id
    ranges, one for each monitor.
    """

    def __init__(self, launcher: Callable[[], Awaitable[LauncherLink]], began: Callable[[], None]) -> None:
        self._launcher = launcher
        self._began = began
        self._links: set[Link] = set()
        self.slots = Slots()
        # In the order in which they were used.
        self._idle: list[Link] = []
        self._room = asyncio.Semaphore(_MOST_UNBORN)
        self._filling: asyncio.Task[None] | None = None
        self._trimming: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, owner: str | None = None) -> Link:
        """Return a monitor for a job, which is there or about to be; raises Unavailable if none can be had.

        Without an owner it is the one that was used last, whose memory is warm. For a job behind
        walls it is one that has had this owner's before, and of these the one that has had time to
        make ready for another; where there is none it is given another slot: nobody's job may have
        an id that somebody else's has had a moment ago. Raises ResourceExhausted if no id or no
        descriptor is left.
        """
        return self.take_idle(owner) or self._have(await self._fork(), owner)

    def take_idle(self, owner: str | None = None) -> Link | None:
        """Return what take() does if that needs no wait, None if it does."""
        return self._have(self._choose(owner), owner) if self._idle else None

    def _have(self, link: Link, owner: str | None) -> Link:
        if owner is not None:
            self._own(link, owner)
        self.fill()
        return link

    def _choose(self, owner: str | None) -> Link:
        known = [link for link in self._idle if owner is not None and link.owner == owner]
        among = known or self._idle
        link = among[-1 if owner is None else -min(len(among), _RESTED)]
        self._idle.remove(link)
        return link

    def _own(self, link: Link, owner: str) -> None:
        if link.owner not in (None, owner):
            slot = self.slots.take()
            self.slots.give_back(link.slot)
            link.slot = slot
        link.owner = owner

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
            with contextlib.suppress(Unavailable, ResourceExhausted):
                self.give_back(await self._fork())
        finally:
            self._filling = None

    async def _fork(self) -> Link:
        await self._room.acquire()
        with contextlib.ExitStack() as undo:
            undo.callback(self._room.release)
            slot = self.slots.take()
            undo.callback(self.slots.give_back, slot)
            link = Link(slot, self._on_begin, self._on_end)
            ours, theirs = _socket_pair()
            undo.callback(ours.close)
            with theirs:
                ours.setblocking(False)
                launcher = await self._launcher()
                await link.open(ours)
                self._links.add(link)
                # From here on, its end undoes it.
                undo.pop_all()
                launcher.fork(theirs)
        return link

    def _on_begin(self, link: Link) -> None:
        self._room.release()
        self._began()

    def _on_end(self, link: Link) -> None:
        if link not in self._links:
            return
        self._links.discard(link)
        self.slots.give_back(link.slot)
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


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise failures.no_descriptor("the monitor of a job", error) from None
