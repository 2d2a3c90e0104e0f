"""The states of a job and the one table of transitions between them."""

from __future__ import annotations

import enum

from jsched.errors import Internal


class JobState(enum.Enum):
    """Where a job is in its life.

    The values are what the database keeps; they never change their meaning.
    """

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    TERMINATED = "terminated"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether nothing can follow this state."""
        return not TRANSITIONS[self]


class Event(enum.Enum):
    """What can happen to a job."""

    EXECUTED = "executed"
    START_FAILED = "start failed"
    ENDED_BY_ITSELF = "ended by itself"
    ENDED_BY_STOP = "ended by a stop"
    KILLED = "killed"
    LOST = "lost"


_ENDINGS = {
    Event.START_FAILED: JobState.FAILED,
    Event.ENDED_BY_ITSELF: JobState.COMPLETED,
    Event.ENDED_BY_STOP: JobState.STOPPED,
    Event.KILLED: JobState.TERMINATED,
    Event.LOST: JobState.UNKNOWN,
}

# A pending job can reach every ending at once: its start and its end may both have
# happened while no server was there to see either. A running job can still turn out to
# have failed to start: a server that adopts it after a restart can't see which step of
# its launch it has reached.
TRANSITIONS: dict[JobState, dict[Event, JobState]] = {
    JobState.PENDING: {Event.EXECUTED: JobState.RUNNING, **_ENDINGS},
    JobState.RUNNING: _ENDINGS,
    JobState.COMPLETED: {},
    JobState.STOPPED: {},
    JobState.TERMINATED: {},
    JobState.FAILED: {},
    JobState.UNKNOWN: {},
}

LIVE_STATES = frozenset(state for state in JobState if TRANSITIONS[state])


def advance(state: JobState, event: Event) -> JobState:
    """Return the state that follows `state` when `event` happens.

    Raises Internal for a transition that is not in the table.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise Internal(f"a job that is {state.value} cannot become: {event.value}") from None
