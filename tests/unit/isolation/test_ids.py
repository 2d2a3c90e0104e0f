"""Whom jobs run as."""

from __future__ import annotations

import os

import pytest

from jsched.isolation import ids


def test_slots_have_no_id_in_common() -> None:
    """The ranges of neighbours touch and do not overlap, and the last one ends below 2^31."""
    ranges = [ids.in_range(slot).uid_map[0] for slot in (0, 1, 2, ids.SLOTS - 1)]
    assert [one.outside for one in ranges[1:3]] == [one.outside + one.size for one in ranges[:2]]
    assert ranges[-1].outside + ranges[-1].size <= 2**31
    users = {ids.without_user_namespace(slot).uid for slot in range(100)}
    assert len(users) == 100
    assert 0 not in users


@pytest.mark.parametrize(("slot", "uid"), [(-1, 1), (1 << 20, 1), (0, -1), (0, 65_536)])
def test_what_is_out_of_range_is_refused(slot: int, uid: int) -> None:
    """No id is taken from somebody else's range, nor one that means nobody."""
    with pytest.raises(ValueError):
        ids.in_range(slot, uid=uid)


def test_an_ordinary_user_is_mapped_to_itself() -> None:
    """Without privileges the one id that may be mapped is one's own."""
    mine = ids.of_this_user()
    assert (mine.uid, mine.uid_map[0]) == (os.geteuid(), (os.geteuid(), os.geteuid(), 1))
