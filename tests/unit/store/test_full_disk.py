from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jsched.errors import ResourceExhausted
from jsched.state import JobState
from tests.helpers.small_disk import fill, small_disk
from tests.unit.store.rig import BOOT, a_job, a_store

JOBS = 20
_ENOUGH = 500


def test_on_a_full_disk_ends_are_written_and_new_jobs_are_not(tmp_path: Path) -> None:
    """New jobs are refused as soon as they would take of the room that is kept, and all ends find theirs."""

    async def test(disk: Path) -> None:
        async with a_store(disk) as store:
            jobs = [a_job() for _ in range(JOBS)]
            for job in jobs:
                await store.insert(job, None, BOOT)
            fill(disk)
            with pytest.raises(ResourceExhausted, match="no space left"):
                while len(jobs) < _ENOUGH:
                    extra = a_job()
                    await store.insert(extra, None, BOOT)
                    jobs.append(extra)
            for job in jobs:
                await store.set_stopped_by(job.id, "alice")
                ended = await store.advance(job.id, JobState.PENDING, JobState.UNKNOWN, {})
                assert (ended.state, ended.stopped_by) == (JobState.UNKNOWN, "alice")
            with pytest.raises(ResourceExhausted, match="no space left"):
                await store.insert(a_job(), None, BOOT)
            (disk / "fill").unlink()
            await store.insert(a_job(), None, BOOT)

    with small_disk(tmp_path / "disk", 6 << 20) as disk:
        asyncio.run(test(disk))
