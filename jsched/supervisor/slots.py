"""The slots of the id ranges that jobs have: which are free."""

from __future__ import annotations

import secrets
from collections import deque

from jsched.errors import ResourceExhausted
from jsched.isolation.ids import SLOTS

# The last is that of trials.
TRIAL_SLOT = SLOTS - 1


class Slots:
    """Free slots in the order in which they are taken: the one that was given back last comes last.

    What a job with its ids may have left behind is the longer gone, the later another has them.
    """

    def __init__(self, count: int = TRIAL_SLOT) -> None:
        self._free = deque(range(count))
        # Should a job of an earlier server be adopted late, its slot is hardly one of the first here.
        self._free.rotate(secrets.randbelow(count))
        self._used: set[int] = set()

    def take(self) -> int:
        """Return a slot that nobody has; raises ResourceExhausted if there is none."""
        if not self._free:
            raise ResourceExhausted(f"all {len(self._used)} id ranges of jobs are in use", hint="try again later")
        slot = self._free.popleft()
        self._used.add(slot)
        return slot

    def keep(self, slot: int) -> bool:
        """Take a certain slot, and return whether it was free."""
        try:
            self._free.remove(slot)
        except ValueError:
            return False
        self._used.add(slot)
        return True

    def give_back(self, slot: int) -> None:
        """Have a slot used again, after all that are free now; one that nobody has is left alone."""
        if slot in self._used:
            self._used.discard(slot)
            self._free.append(slot)
