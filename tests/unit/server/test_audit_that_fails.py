"""The audit trail where lines can't be written: nothing is promised, and nothing is lost that was."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jsched.errors import FailedPrecondition, Internal, ResourceExhausted
from jsched.server.audit import Audit
from jsched.server.audit_room import BLOCK, FOR_STOPS
from tests.helpers.audit import assert_whole, entry, jobs_in, lines_in
from tests.helpers.small_disk import small_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_a_failed_write_is_an_error_for_the_caller(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, every caller is told, and the audit says that it fails."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def write_to_full_disk() -> None:
        async with Audit(path) as audit:
            await audit.write(entry())
            monkeypatch.setattr("jsched.audit.writer.os.write", full)
            assert not audit.failing
            hold = await audit.hold()
            for _ in range(2):
                with pytest.raises(ResourceExhausted, match="audit trail"):
                    await audit.write(entry(), hold)
                assert audit.failing
            with pytest.raises(ResourceExhausted, match="audit trail"):
                await audit.hold()
            assert not await audit.event("server_start")

    asyncio.run(write_to_full_disk())


def test_a_line_that_was_begun_is_finished(path: Path) -> None:
    """Of lines that only partly fit, the whole ones are acknowledged and the rest refused, until there is room."""
    script = """
import asyncio, json, resource, sys
from pathlib import Path
from jsched.audit.chain import ORIGIN, seal
from jsched.server.audit import Audit, Entry

def entry(job): return Entry("m", "p", 0.0, job=job)

async def main(path):
    size = len(seal(entry("0").body(), ORIGIN)[0])
    async with Audit(path) as audit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size * 2 + size // 2, -1))
        outcomes = await asyncio.gather(*(audit.write(entry(str(n))) for n in range(4)), return_exceptions=True)
        failing = audit.failing
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        await audit.write(entry("later"))
        print(json.dumps([[str(type(o).__name__) for o in outcomes], failing, audit.failing]))

asyncio.run(main(Path(sys.argv[1])))
"""
    said = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    outcomes, failed, fails = json.loads(said.stdout)
    assert outcomes == ["int", "int", "Internal", "Internal"]
    assert (failed, fails) == (True, False)
    assert jobs_in(path) == ["0", "1", "2", "later"]
    assert_whole(path)
    assert "can't be written" in said.stderr
    assert "is written again" in said.stderr


def fill(directory: Path) -> Path:
    """Leave no byte in the file system; return the file to remove."""
    path = directory / "fill"
    with path.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return path
    return path


def test_on_a_full_disk_nothing_is_promised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is held can be written when the disk is full; no more is held then but for stops, until there is room."""

    async def run_full(path: Path) -> None:
        async with Audit(path) as audit:
            held = await audit.hold(2)
            filler = fill(path.parent)
            holds = []
            with pytest.raises(ResourceExhausted, match="audit trail"):
                while True:
                    holds.append(await audit.hold())
            assert 1 <= len(holds) <= BLOCK // 4096
            assert not audit.failing
            with pytest.raises(ResourceExhausted, match="audit trail"):
                await audit.write(entry("refused"))
            for _ in range(2):
                await audit.write(entry("held"), held)
            stop = await audit.hold(stops_for="root")
            await audit.write(entry("stopped"), stop)
            for hold in holds:
                await audit.write(entry("each"), hold)
            filler.unlink()
            await audit.write(entry("again"))

    with small_disk(tmp_path / "disk", 3 << 20) as disk:
        path = disk / "audit.jsonl"
        asyncio.run(run_full(path))
        jobs = jobs_in(path)
        assert jobs[:3] == ["held", "held", "stopped"]
        assert jobs[-1] == "again"
        assert "refused" not in jobs
        (missing,) = [line for line in lines_in(path) if line["event"] == "lines_missing"]
        assert missing["count"] == 1
        assert_whole(path)
        assert "all but stops is refused" in caplog.text
        assert "there is room" in caplog.text


def test_nobody_uses_up_what_is_kept_for_stops(tmp_path: Path) -> None:
    """On a full disk one user gets a share of the room for stops, and others still theirs, also after a restart."""

    async def stop_all(audit: Audit, user: str) -> int:
        count = 0
        try:
            while True:
                await audit.write(entry(user), await audit.hold(stops_for=user))
                count += 1
        except ResourceExhausted:
            return count

    async def run_full(path: Path) -> tuple[int, int]:
        async with Audit(path):
            fill(path.parent)
        async with Audit(path) as audit:
            while True:
                try:
                    await audit.write(entry("other"))
                except ResourceExhausted:
                    break
            return await stop_all(audit, "eve"), await stop_all(audit, "root")

    with small_disk(tmp_path / "disk", 3 << 20) as disk:
        path = disk / "audit.jsonl"
        eve, root = asyncio.run(run_full(path))
        assert 100 < eve < FOR_STOPS // 400
        assert root >= eve - 10
        assert_whole(path)


def test_after_the_end_nothing_is_taken(path: Path) -> None:
    """A closed audit refuses lines instead of losing them, and may be closed twice."""

    async def write_after_close() -> None:
        audit = Audit(path)
        await audit.write(entry("a"))
        audit.close()
        audit.close()
        with pytest.raises(Internal, match="closed"):
            await audit.write(entry("b"))

    asyncio.run(write_after_close())
    assert jobs_in(path) == ["a"]


def test_a_caller_that_gives_up_does_not_take_its_line_along(path: Path) -> None:
    """A call that is cancelled while its line waits is in the audit all the same, and so are the others."""

    async def cancel_one() -> None:
        async with Audit(path) as audit:
            first = asyncio.create_task(audit.write(entry("a")))
            second = asyncio.create_task(audit.write(entry("b")))
            await asyncio.sleep(0)
            first.cancel()
            await second
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(cancel_one())
    assert jobs_in(path) == ["a", "b"]


def test_a_file_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    """A server does not start without its audit, and says which file it is."""

    async def open_directory() -> None:
        with pytest.raises(FailedPrecondition, match=str(tmp_path)):
            Audit(tmp_path)

    asyncio.run(open_directory())


def test_two_lines_where_there_is_room_for_one(tmp_path: Path) -> None:
    """On a full disk a stream is refused that needs one line more than there is room for, and a call is not."""

    async def run_full(path: Path) -> None:
        async with Audit(path) as audit:
            fill(path.parent)
            holds = []
            with pytest.raises(ResourceExhausted):
                while True:
                    holds.append(await audit.hold())
            holds.pop().release()
            with pytest.raises(ResourceExhausted, match="audit trail"):
                await audit.hold(2)
            await audit.write(entry("one"))
            for hold in holds:
                hold.release()

    with small_disk(tmp_path / "disk", 3 << 20) as disk:
        asyncio.run(run_full(disk / "audit.jsonl"))
        assert jobs_in(disk / "audit.jsonl") == ["one"]
