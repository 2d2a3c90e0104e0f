"""Jobs in pages: newest first, each once, and only by tokens that were given."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from jsched.errors import (
    InvalidArgument,
)
from jsched.job import JobFilter
from jsched.state import JobState
from jsched.store import Store
from tests.unit.store.rig import BOOT, a_job, run


def test_pages_are_newest_first_and_complete(tmp_path: Path) -> None:
    """Following the tokens gives every job once, newest first, also while new ones arrive."""

    async def body(store: Store) -> None:
        jobs = [a_job(owner="alice" if number % 2 else "bob", labels={"n": str(number % 3)}) for number in range(25)]
        for job in jobs:
            await store.insert(job, None, BOOT)
        for wanted, expected in (
            (JobFilter(), jobs),
            (JobFilter(owner="alice"), jobs[1::2]),
            (JobFilter(labels={"n": "1"}), jobs[1::3]),
            (JobFilter(states=frozenset({JobState.PENDING})), jobs),
            (JobFilter(states=frozenset({JobState.COMPLETED, JobState.FAILED})), []),
            (JobFilter(name="none"), []),
        ):
            got: list[str] = []
            token = ""
            while True:
                page = await store.page(wanted, 7, token)
                got += [job.id for job in page.jobs]
                token = page.next_page_token
                if not token:
                    break
            assert got == [job.id for job in reversed(expected)]

    run(tmp_path, body)


def test_a_page_that_is_just_full_is_the_last(tmp_path: Path) -> None:
    """No token is given where nothing follows."""

    async def body(store: Store) -> None:
        for _ in range(3):
            await store.insert(a_job(), None, BOOT)
        assert (await store.page(JobFilter(), 3, "")).next_page_token == ""
        assert (await store.page(JobFilter(), 2, "")).next_page_token != ""

    run(tmp_path, body)


def test_page_tokens_that_were_not_given_are_refused(tmp_path: Path) -> None:
    """A token that is made up, changed, or of another filter is an error, not a page; none has its row's number."""

    async def body(store: Store) -> None:
        for _ in range(3):
            await store.insert(a_job(), None, BOOT)
        token = (await store.page(JobFilter(), 1, "")).next_page_token
        assert (3).to_bytes(8, "big") not in base64.urlsafe_b64decode(token)
        flipped = ("A" if token[3] != "A" else "B").join((token[:3], token[4:]))
        for wanted, bad in (
            (JobFilter(), "made-up"),
            (JobFilter(), "ä"),
            (JobFilter(), "AAAA"),
            (JobFilter(), token + "AAAA"),
            (JobFilter(), flipped),
            (JobFilter(owner="bob"), token),
        ):
            with pytest.raises(InvalidArgument, match="page_token"):
                await store.page(wanted, 1, bad)

    run(tmp_path, body)
