from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from jsched.audit import chain
from jsched.audit.trail import Trail
from jsched.audit.verify import verify
from jsched.audit_config import AuditConfig
from jsched.errors import FailedPrecondition, JschedError
from jsched.server.audit import Audit
from tests.helpers.audit import assert_whole, entry, jobs_in, lines_in, verified, write_all


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


@pytest.mark.parametrize("put", [lambda path: os.mkfifo(path), lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_file_of_its_own_is_not_written_to(path: Path, put: Callable[[Path], None]) -> None:
    """With a FIFO or a link under the trail's name no server starts, and one that runs refuses what needs a line."""
    elsewhere = path.with_name("elsewhere")
    elsewhere.touch()

    async def write_and_replace() -> None:
        async with Audit(path) as audit:
            await audit.write(entry("a"))
            os.rename(path, path.with_name("moved"))
            put(path)
            with pytest.raises(JschedError, match="can't be written"):
                await audit.write(entry("b"))
            os.unlink(path)
            await audit.event("again")

    asyncio.run(write_and_replace())
    assert elsewhere.read_bytes() == b""
    assert [line["event"] for line in lines_in(path)] == ["trail_displaced", "again"]
    path.unlink()
    put(path)

    async def start() -> None:
        with pytest.raises(FailedPrecondition, match=str(path)):
            Audit(path)

    asyncio.run(start())
    assert elsewhere.read_bytes() == b""


def test_a_foreign_line_is_found_by_verify(path: Path) -> None:
    """A whole line that somebody has appended while no server ran is wrong, though the next line accounts for it."""
    asyncio.run(write_all(path, entry("a")))
    with path.open("ab") as file:
        file.write(b"junk\n")
    asyncio.run(write_all(path, entry("b")))
    assert ["5 bytes are no lines of the trail" in text for _, text in verified(path).problems] == [True]


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
