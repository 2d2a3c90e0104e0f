from __future__ import annotations

import pytest

from jsched.errors import Internal
from jsched.state import LIVE_STATES, TRANSITIONS, Event, JobState, advance


def test_every_state_is_in_the_table() -> None:
    """The table says something of each state, so that none can be forgotten."""
    assert set(TRANSITIONS) == set(JobState)


def test_only_pending_and_running_jobs_are_live() -> None:
    """A job in any other state has ended for good."""
    assert {JobState.PENDING, JobState.RUNNING} == LIVE_STATES
    assert all(state.ended != (state in LIVE_STATES) for state in JobState)


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", JobState)
def test_what_is_not_in_the_table_is_refused(state: JobState, event: Event) -> None:
    """Advance follows the table and raises Internal for everything else."""
    if event in TRANSITIONS[state]:
        assert advance(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(Internal, match=state.value):
            advance(state, event)


def test_a_running_job_is_not_executed_again() -> None:
    """No table edit may let a job start twice."""
    with pytest.raises(Internal):
        advance(JobState.RUNNING, Event.EXECUTED)
