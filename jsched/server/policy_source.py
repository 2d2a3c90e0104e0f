"""The policy that holds now: read when the server starts, and again when it is asked to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from jsched.errors import JschedError
from jsched.policy.load import load
from jsched.policy.policy import Policy

_LOG = logging.getLogger("jsched.server")


class PolicySource:
    """The current policy; a call that has begun keeps the one that it was checked by.

    `name` is a preset's, or a file's path. `changed` has what is called, on the event loop, after
    each change.
    """

    def __init__(self, policy: Policy, name: str) -> None:
        self.policy = policy
        self.changed: list[Callable[[], None]] = []
        self._name = name
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, name: str) -> PolicySource:
        """Return the source of a policy; raises InvalidArgument, with the line, for one that is wrong."""
        return cls(await asyncio.to_thread(load, name), name)

    async def reload(self) -> JschedError | None:
        """Read the policy again, and return what is wrong with it, None if nothing is; then it holds from now on.

        One that is wrong changes nothing.
        """
        async with self._turn:
            try:
                policy = await asyncio.to_thread(load, self._name)
            except JschedError as error:
                _LOG.error("the policy stays as it was: %s", error)
                return error
            before, self.policy = self.policy, policy
            _LOG.info(
                "policy %s read again: %s", policy.source, "as it was" if policy.digest == before.digest else "changed"
            )
            for listener in self.changed:
                listener()
            return None
