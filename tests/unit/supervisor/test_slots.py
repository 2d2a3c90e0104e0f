"""The slots of id ranges: never two jobs with one, and none used again before it must."""

from __future__ import annotations

import pytest

from jsched.errors import ResourceExhausted
from jsched.isolation import ids
from jsched.supervisor.slots import TRIAL_SLOT, Slots
from tests.unit.supervisor.conftest import Bench


def test_nobody_has_the_slot_of_another() -> None:
    """All slots can be had, each once, and then there is none."""
    slots = Slots(5)
    assert sorted(slots.take() for _ in range(5)) == [0, 1, 2, 3, 4]
    with pytest.raises(ResourceExhausted, match=r"^all 5 id ranges of jobs are in use"):
        slots.take()


def test_every_slot_has_a_range() -> None:
    """All slots but the last of all, which is that of trials, are there to be used."""
    slots = Slots()
    taken = {slots.take() for _ in range(TRIAL_SLOT)}
    assert taken == set(range(ids.SLOTS - 1))
    assert all(ids.in_range(slot) for slot in (0, max(taken), TRIAL_SLOT))


def test_given_back_last_used_last() -> None:
    """A slot that is given back comes after all that are free, in the order in which they came back."""
    slots = Slots(5)
    taken = [slots.take() for _ in range(4)]
    for slot in (taken[2], taken[0]):
        slots.give_back(slot)
    free = [slots.take() for _ in range(3)]
    assert free[1:] == [taken[2], taken[0]]


def test_adopted_slots_are_never_handed_out() -> None:
    """A slot that a job of an earlier server has is nobody else's until it is given back."""
    slots = Slots(4)
    assert slots.keep(2)
    assert sorted(slots.take() for _ in range(3)) == [0, 1, 3]
    slots.give_back(2)
    assert slots.take() == 2


def test_a_slot_that_somebody_has_can_not_be_kept() -> None:
    """Whoever was too late does not own it, nor does a slot that there is not."""
    slots = Slots(2)
    taken = slots.take()
    assert not slots.keep(taken)
    assert not slots.keep(2)
    assert not slots.keep(-1)


def test_a_slot_that_nobody_has_is_not_given_back() -> None:
    """Giving back twice does not have two jobs share a range."""
    slots = Slots(2)
    taken = slots.take()
    slots.give_back(taken)
    slots.give_back(taken)
    slots.give_back(7)
    assert sorted((slots.take(), slots.take())) == [0, 1]
    with pytest.raises(ResourceExhausted):
        slots.take()


def test_the_first_slot_is_not_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that starts begins somewhere, and goes on in a circle."""
    monkeypatch.setattr("secrets.randbelow", lambda count: count - 1)
    slots = Slots(3)
    assert [slots.take() for _ in range(3)] == [1, 2, 0]


def test_the_pool_leaves_adopted_slots_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Monitors get the slots that are left; without any, a launch is refused and one that is free again is used."""
    monkeypatch.setattr(Slots.__init__, "__defaults__", (3,))

    async def test() -> None:
        bench.supervisor.adopt("of an earlier server", 1)
        runs = [await bench.launch("sleep", "1000") for _ in range(2)]
        with pytest.raises(ResourceExhausted, match="id ranges"):
            await bench.launch("true")
        bench.supervisor.release("of an earlier server")
        last = await bench.launch("true")
        assert (await bench.ended(last)).exit_code == 0
        for run in runs:
            await bench.stop(run, 0)
            await bench.ended(run)

    bench.run(test())


def test_the_slot_of_a_monitor_that_ends_is_free(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many monitors as ever may come and go: their slots are used again."""
    monkeypatch.setattr(Slots.__init__, "__defaults__", (4,))
    monkeypatch.setattr("jsched.supervisor.pool._MOST_JOBS", 1)

    async def test() -> None:
        for _ in range(12):
            await bench.ended(await bench.launch("true"))

    bench.run(test())


def test_a_slot_is_adopted_once(bench: Bench) -> None:
    """A job without a slot has none to adopt, and one that is too late does not take it from its owner."""

    async def test() -> None:
        for job, slot in (("a", None), ("b", 7), ("c", 7), ("d", 10**9)):
            bench.supervisor.adopt(job, slot)
        bench.supervisor.release("c")
        assert not bench.supervisor._pool.slots.keep(7)
        bench.supervisor.release("b")
        assert bench.supervisor._pool.slots.keep(7)

    bench.run(test())
