"""When a call is made again."""

from __future__ import annotations

import pytest

from jsched.client.diagnosis import NotConnected
from jsched.client.retry import Patience, is_whole_id
from jsched.errors import NotFound, ResourceExhausted, Unauthenticated, Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_delays_double_up_to_two_seconds(clock: Clock) -> None:
    """The first attempt comes soon, later ones ever later, but never later than two seconds."""
    patience = Patience(60, known=True, clock=clock)
    delays = [patience.after(NotConnected("gone")) for _ in range(8)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2])
    assert patience.attempt == 8


def test_it_gives_up_when_the_time_is_over(clock: Clock) -> None:
    """After so long without success the last error is told, with the time that was spent."""
    patience = Patience(60, known=True, clock=clock)
    patience.after(NotConnected("gone"))
    clock.now += 59.5
    assert patience.after(NotConnected("gone")) == pytest.approx(0.2)
    clock.now += 0.3
    assert patience.after(NotConnected("gone")) == pytest.approx(0.2)
    clock.now += 0.2
    with pytest.raises(Unavailable, match="gave up after 60 s: gone"):
        patience.after(NotConnected("gone"))


def test_silence_is_no_end(clock: Clock) -> None:
    """A stream that the server has ended for its silence is opened again; another limit of its is an error."""
    patience = Patience(60, known=True, clock=clock)
    assert patience.after(ResourceExhausted("nothing was sent", obj="stream_idle_timeout")) == pytest.approx(0.1)
    with pytest.raises(ResourceExhausted, match="too many"):
        patience.after(ResourceExhausted("too many", obj="max_streams_per_user"))


def test_success_gives_new_patience(clock: Clock) -> None:
    """An answer sets the time and the delay back."""
    patience = Patience(1, known=True, clock=clock)
    for _ in range(5):
        patience.begins()
        assert patience.after(Unavailable("cut")) == pytest.approx(0.1)
        clock.now += 0.9
        patience.succeeded()


def test_a_call_that_held_is_a_success(clock: Clock) -> None:
    """A quiet stream that was cut after a while begins a new time of trouble."""
    patience = Patience(2, known=True, clock=clock)
    for _ in range(5):
        patience.begins()
        clock.now += 10
        assert patience.after(Unavailable("cut")) == pytest.approx(0.1)


def test_a_connection_that_never_came_about_is_no_success(clock: Clock) -> None:
    """An attempt to connect that took long is not taken for a call that held."""
    patience = Patience(15, known=True, clock=clock)
    patience.begins()
    clock.now += 10
    patience.after(NotConnected("no answer"))
    patience.begins()
    clock.now += 10
    assert patience.after(NotConnected("no answer")) == pytest.approx(0.2)
    clock.now += 10
    with pytest.raises(Unavailable, match="gave up"):
        patience.after(NotConnected("no answer"))


def test_a_server_that_never_answered_is_not_waited_for(clock: Clock) -> None:
    """The first failure to connect is the answer, unless there was a connection before."""
    with pytest.raises(NotConnected):
        Patience(60, known=False, clock=clock).after(NotConnected("refused"))
    patience = Patience(60, known=False, clock=clock)
    patience.after(Unavailable("cut"))
    patience.after(NotConnected("refused"))


@pytest.mark.parametrize("error", [NotFound("no"), Unauthenticated("who?")])
def test_other_errors_are_final(clock: Clock, error: Exception) -> None:
    """What another attempt can't mend is raised at once."""
    with pytest.raises(type(error)):
        Patience(60, known=True, clock=clock).after(error)  # type: ignore[arg-type]


def test_no_time_means_no_attempt(clock: Clock) -> None:
    """With a timeout of 0 the first error is raised as it is."""
    with pytest.raises(Unavailable, match=r"^cut$"):
        Patience(0, known=True, clock=clock).after(Unavailable("cut"))


def test_whole_ids() -> None:
    """Only a whole UUID means the same job for ever."""
    assert is_whole_id("4f0c81d2-1111-4222-8333-444444444444")
    for ref in ("4f0c81d2", "4f0c81d2-1111-4222-8333-44444444444", "name", "4f0c81d2-1111-4222-8333-444444444444\n"):
        assert not is_whole_id(ref)
