from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jsched.audit import chain
from jsched.audit.trail import Trail
from jsched.audit.verify import verify
from jsched.audit.walk import Report
from jsched.audit_config import AuditConfig
from jsched.errors import FailedPrecondition, Internal, ResourceExhausted
from jsched.server.audit import Audit, Entry
from jsched.server.audit_room import BLOCK, FOR_STOPS
from tests.helpers.small_disk import small_disk


def entry(job: str = "", **fields: Any) -> Entry:
    return Entry("/jsched.v1.JobService/GetJob", "ipv4:127.0.0.1:4", 1_600_000_000.25, job=job, **fields)


def lines_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in Trail(path).files() for line in file.read_text("ascii").splitlines()]


def jobs_in(path: Path) -> list[str]:
    return [line["job"] for line in lines_in(path) if line["event"] == "call"]


def verified(path: Path) -> Report:
    trail = Trail(path)
    anchor = trail.anchor()
    return verify(trail.files(), [anchor] if anchor else [])


def assert_whole(path: Path) -> None:
    report = verified(path)
    assert report.problems == []
    assert [line["seq"] for line in lines_in(path)] == list(range(1, report.lines + 1))


async def write_all(path: Path, *entries: Entry, config: AuditConfig | None = None) -> None:
    async with Audit(path, config) as audit:
        for each in entries:
            await audit.write(each)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_a_line_says_when_who_what_and_how(path: Path) -> None:
    """A line is one JSON object with its number, the time in UTC to the millisecond, and the hash before it."""
    asyncio.run(write_all(path, entry("j1", user="alice", status="OK"), entry("j2")))
    first, second = path.read_bytes().splitlines(keepends=True)
    line = json.loads(first)
    assert line["time"] == "2020-09-13T12:26:40.250Z"
    assert (line["user"], line["job"], line["status"], line["decision"]) == ("alice", "j1", "OK", "deny")
    assert (line["seq"], line["prev"]) == (1, "0" * 64)
    assert (json.loads(second)["seq"], json.loads(second)["prev"]) == (2, chain.digest(first))


def test_the_files_are_for_their_owner_alone(path: Path) -> None:
    """What the audit makes has mode 0600."""
    asyncio.run(write_all(path, entry()))
    for made in path.parent.iterdir():
        assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_lines_of_many_calls_at_once_are_all_there(path: Path) -> None:
    """A thousand calls at once get a thousand whole lines and their numbers, in the order of the calls."""

    async def write_at_once() -> list[int]:
        async with Audit(path) as audit:
            return await asyncio.gather(*(audit.write(entry(str(number))) for number in range(1000)))

    assert asyncio.run(write_at_once()) == list(range(1, 1001))
    assert jobs_in(path) == [str(number) for number in range(1000)]
    assert_whole(path)


def test_the_chain_goes_on_over_restarts(path: Path) -> None:
    """A second server appends to what the first has written, and its first line vouches for the last one."""
    for job in ("a", "b", "c"):
        asyncio.run(write_all(path, entry(job)))
    assert jobs_in(path) == ["a", "b", "c"]
    assert_whole(path)


def test_a_line_that_was_cut_is_accounted_for(path: Path) -> None:
    """Where the last line was cut off, the next begins on a line of its own and says what stands before it."""
    asyncio.run(write_all(path, entry("a"), entry("b")))
    with path.open("ab") as file:
        file.write(b'{"seq":3,"ti')
    asyncio.run(write_all(path, entry("c"), entry("d")))
    texts = path.read_bytes().splitlines()
    assert texts[2] == b'{"seq":3,"ti'
    assert json.loads(texts[3])["skipped"] == {"bytes": 12, "sha256": chain.digest(texts[2])}
    assert "skipped" not in json.loads(texts[4])
    report = verified(path)
    assert report.problems == []
    assert [str(place) for place, _ in report.notes] == ["audit.jsonl line 3"]


def test_a_line_short_of_its_line_break_is_finished(path: Path) -> None:
    """A line that lacks nothing but its line break is a line: it gets it, and the chain goes on from it."""
    asyncio.run(write_all(path, entry("a"), entry("b")))
    os.truncate(path, path.stat().st_size - 1)
    path.with_suffix(".anchor").unlink()
    asyncio.run(write_all(path, entry("c")))
    assert jobs_in(path) == ["a", "b", "c"]
    assert_whole(path)


def test_each_place_where_a_line_can_be_cut(path: Path) -> None:
    """Wherever the last line is cut off, the trail goes on and is whole, with the torn line noted."""
    asyncio.run(write_all(path, entry("a"), entry("b")))
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for size in (first, first + 1, first + 30, len(data) - 40, len(data) - 2, len(data) - 1, len(data)):
        path.write_bytes(data[:size])
        path.with_suffix(".anchor").unlink(missing_ok=True)
        asyncio.run(write_all(path, entry("c")))
        report = verified(path)
        assert report.problems == [], size
        assert len(report.notes) == (first < size < len(data) - 1)
        assert report.last is not None
        assert report.last.fields["job"] == "c"


def test_a_trail_without_a_chain_is_gone_on_with(path: Path) -> None:
    """What a version without a chain has left is kept, and vouched for by the first line of the chain."""
    path.write_bytes(b'{"user":"alice"}\n{"user":"bob"}\n')
    asyncio.run(write_all(path, entry("a")))
    report = verified(path)
    assert (report.problems, report.lines) == ([], 1)
    path.write_bytes(path.read_bytes().replace(b"bob", b"eve"))
    assert verified(path).problems


def test_a_trail_that_was_cut_does_not_use_numbers_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Cut off while no server ran, the trail goes on with the numbers that it would have had, and the gap shows."""
    asyncio.run(write_all(path, *(entry(str(number)) for number in range(5))))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    asyncio.run(write_all(path, entry("later")))
    assert "was cut or changed" in caplog.text
    assert [(line["seq"], line["event"]) for line in lines_in(path)[3:]] == [(6, "trail_gap"), (7, "call")]
    assert [text for _, text in verified(path).problems] == ["has the number 6: the lines 4 to 5 are missing before it"]


def test_a_last_line_that_was_changed_is_found_at_the_next_start(path: Path) -> None:
    """The next line carries the hash that the last one had, not the one it has now."""
    asyncio.run(write_all(path, entry("a"), entry("b")))
    path.write_bytes(path.read_bytes().replace(b'"job":"b"', b'"job":"c"'))
    asyncio.run(write_all(path, entry("d")))
    assert [str(place) for place, _ in verified(path).problems] == ["audit.jsonl line 2"]


def test_files_are_put_aside(path: Path) -> None:
    """A file that has its size is put aside under its first number, and the chain goes on in a new one."""
    config = AuditConfig(max_size=1 << 20)
    entries = [entry(str(number), reason="x" * 400) for number in range(4000)]

    async def write_many() -> None:
        async with Audit(path, config) as audit:
            for start in range(0, len(entries), 100):
                await asyncio.gather(*(audit.write(each) for each in entries[start : start + 100]))

    asyncio.run(write_many())
    files = Trail(path).files()
    assert len(files) >= 3
    assert [file.name for file in files[:1]] == ["audit-000000000001.jsonl"]
    assert all(1 << 20 <= file.stat().st_size < (1 << 20) + 100 * 1100 for file in files[:-1])
    assert all(file.stat().st_blocks * 512 <= file.stat().st_size + 8192 for file in files[:-1])
    assert len(jobs_in(path)) == 4000
    assert_whole(path)


def test_old_files_are_removed_only_if_that_is_configured(path: Path) -> None:
    """With `keep`, older files go and the trail says so, so that it is whole without them, and not without others."""
    config = AuditConfig(max_size=1 << 20, keep=1)
    entries = [entry(str(number), reason="x" * 400) for number in range(6000)]

    async def write_many() -> None:
        async with Audit(path, config) as audit:
            for start in range(0, len(entries), 100):
                await asyncio.gather(*(audit.write(each) for each in entries[start : start + 100]))

    asyncio.run(write_many())
    files = Trail(path).files()
    assert len(files) == 2
    report = verified(path)
    assert report.problems == []
    assert "the trail begins with line" in report.notes[0].text
    files[0].unlink()
    assert "the beginning is missing" in verified(path).problems[0].text


def test_a_file_that_is_moved_away_is_noticed(path: Path) -> None:
    """Moved away by hand, the file is followed by a new one, in which the chain goes on; cut, it is written on."""

    async def write_and_move() -> None:
        async with Audit(path) as audit:
            await audit.write(entry("a"))
            os.rename(path, path.with_name("moved"))
            await audit.write(entry("b"))
            await audit.write(entry("c"))

    asyncio.run(write_and_move())
    assert [line["event"] for line in lines_in(path)] == ["trail_displaced", "call", "call"]
    assert verify([path.with_name("moved"), path]).problems == []


def test_a_file_that_is_cut_while_it_is_written(path: Path) -> None:
    """Cut by somebody else, the file is written on, and the next line says what was done."""

    async def write_and_cut() -> None:
        async with Audit(path) as audit:
            await audit.write(entry("a"))
            await audit.write(entry("b"))
            os.truncate(path, 0)
            await audit.write(entry("c"))

    asyncio.run(write_and_cut())
    lines = lines_in(path)
    assert [(line["seq"], line["event"]) for line in lines] == [(3, "trail_displaced"), (4, "call")]
    assert lines[0]["reason"].startswith("the file has 0 bytes")
    assert verified(path).problems


def test_events_are_lines_as_well(path: Path) -> None:
    """What is no call has a line with its kind and its fields, from the event loop or from any thread."""

    async def tell() -> bool:
        async with Audit(path) as audit:
            told = await audit.event("policy_reload", policy="owner", reason="")
            await asyncio.to_thread(audit.note, "certificates_reload", file="a\nb")
            await audit.write(entry("a"))
            return told

    assert asyncio.run(tell())
    reload, certificates, call = lines_in(path)
    assert (reload["event"], reload["policy"]) == ("policy_reload", "owner")
    assert (certificates["event"], certificates["file"]) == ("certificates_reload", "a\nb")
    assert call["event"] == "call"
    assert_whole(path)


def test_an_anchor_is_dropped_at_start_and_end(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The trail's end is in the server's log when it starts and ends, and beside the trail."""
    caplog.set_level(logging.INFO)
    asyncio.run(write_all(path, entry("a")))
    caplog.clear()
    asyncio.run(write_all(path, entry("b")))
    links = [chain.read(line).link for line in path.read_bytes().splitlines(keepends=True)]  # type: ignore[union-attr]
    assert chain.find_anchors(caplog.text) == links
    assert Trail(path).anchor() == links[-1]


def test_a_failed_write_is_an_error_for_the_caller() -> None:
    """Where nothing can be written, every caller is told, and the audit says that it fails."""

    async def write_to_full_device() -> None:
        async with Audit(Path("/dev/full")) as audit:
            assert not audit.failing
            hold = await audit.hold()
            for _ in range(2):
                with pytest.raises(ResourceExhausted, match="audit trail"):
                    await audit.write(entry(), hold)
                assert audit.failing
            with pytest.raises(ResourceExhausted, match="audit trail"):
                await audit.hold()
            assert not await audit.event("server_start")

    anchor = Path("/dev/full").with_suffix(".anchor")
    try:
        asyncio.run(write_to_full_device())
    finally:
        anchor.unlink(missing_ok=True)


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
