from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jsched.errors import FailedPrecondition, Internal, ResourceExhausted
from jsched.server.audit import Audit, Entry


def entry(job: str = "", **fields: Any) -> Entry:
    return Entry("/jsched.v1.JobService/GetJob", "ipv4:127.0.0.1:4", 1_600_000_000.25, job=job, **fields)


def jobs_in(path: Path) -> list[str]:
    return [json.loads(line)["job"] for line in path.read_text("ascii").splitlines()]


async def write_all(path: Path, *entries: Entry) -> None:
    async with Audit(path) as audit:
        for each in entries:
            await audit.write(each)


def test_a_line_says_when_who_what_and_how(tmp_path: Path) -> None:
    """A line is one JSON object with the time in UTC to the millisecond."""
    asyncio.run(write_all(tmp_path / "audit", entry("j1", user="alice", status="OK")))
    line = json.loads((tmp_path / "audit").read_text())
    assert line["time"] == "2020-09-13T12:26:40.250Z"
    assert (line["user"], line["job"], line["status"], line["decision"]) == ("alice", "j1", "OK", "deny")


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """A new audit file has mode 0600."""
    asyncio.run(write_all(tmp_path / "audit", entry()))
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text", ["a\nb", "\r", "\x00\x1b[2J\x7f", "\u202e\u2066\u200f", "\u2028\u2029\x85", "\udc80", '"\\', "😀"]
)
def test_one_line_stays_one_line(tmp_path: Path, text: str) -> None:
    """Whatever stands in a field, the line is printable ASCII and gives the same text back."""
    asyncio.run(write_all(tmp_path / "audit", entry(text, user=text, reason=text)))
    content = (tmp_path / "audit").read_bytes()
    assert content.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in content[:-1])
    assert json.loads(content)["user"] == text


def test_lines_of_many_calls_at_once_are_all_there(tmp_path: Path) -> None:
    """A thousand calls at once get a thousand whole lines, in the order in which they were written."""

    async def write_at_once() -> None:
        async with Audit(tmp_path / "audit") as audit:
            await asyncio.gather(*(audit.write(entry(str(number))) for number in range(1000)))

    asyncio.run(write_at_once())
    assert jobs_in(tmp_path / "audit") == [str(number) for number in range(1000)]


def test_a_file_that_was_there_is_continued(tmp_path: Path) -> None:
    """A second server appends to what the first has written."""
    for job in ("a", "b"):
        asyncio.run(write_all(tmp_path / "audit", entry(job)))
    assert jobs_in(tmp_path / "audit") == ["a", "b"]


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    """Where the last line was cut off, the next begins on a line of its own."""
    (tmp_path / "audit").write_text('{"job":"whole"}\n{"jo')
    asyncio.run(write_all(tmp_path / "audit", entry("a"), entry("b")))
    lines = (tmp_path / "audit").read_text().splitlines()
    assert lines[:2] == ['{"job":"whole"}', '{"jo']
    assert [json.loads(line)["job"] for line in lines[2:]] == ["a", "b"]


def test_a_failed_write_is_an_error_for_the_caller() -> None:
    """Where nothing can be written, every caller is told, and the audit says that it fails."""

    async def write_to_full_device() -> None:
        async with Audit(Path("/dev/full")) as audit:
            assert not audit.failing
            for _ in range(2):
                with pytest.raises(ResourceExhausted, match="audit trail"):
                    await audit.write(entry())
                assert audit.failing

    asyncio.run(write_to_full_device())


def test_a_write_that_is_cut_off_counts_only_whole_lines(tmp_path: Path) -> None:
    """Of lines that only partly fit, the whole ones are acknowledged and the rest refused, until there is room."""
    script = """
import asyncio, json, resource, sys
from pathlib import Path
from typing import Any
from jsched.errors import Internal
from jsched.server.audit import Audit, Entry

def entry(job): return Entry("m", "p", 0.0, job=job)

async def main(path):
    size = len(entry("0").line())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size * 2 + size // 2, -1))
    async with Audit(path) as audit:
        outcomes = await asyncio.gather(*(audit.write(entry(str(n))) for n in range(4)), return_exceptions=True)
        failing = audit.failing
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
        await audit.write(entry("later"))
        print(json.dumps([[str(type(o).__name__) for o in outcomes], failing, audit.failing]))

asyncio.run(main(Path(sys.argv[1])))
"""
    path = tmp_path / "audit"
    said = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    outcomes, failed, fails = json.loads(said.stdout)
    assert outcomes == ["NoneType", "NoneType", "Internal", "Internal"]
    assert (failed, fails) == (True, False)
    lines = path.read_text().splitlines()
    assert [json.loads(lines[number])["job"] for number in (0, 1, -1)] == ["0", "1", "later"]
    assert "can't be written" in said.stderr
    assert "is written again" in said.stderr


def test_after_the_end_nothing_is_taken(tmp_path: Path) -> None:
    """A closed audit refuses lines instead of losing them, and may be closed twice."""

    async def write_after_close() -> None:
        audit = Audit(tmp_path / "audit")
        await audit.write(entry("a"))
        audit.close()
        audit.close()
        with pytest.raises(Internal, match="closed"):
            await audit.write(entry("b"))

    asyncio.run(write_after_close())
    assert jobs_in(tmp_path / "audit") == ["a"]


def test_a_caller_that_gives_up_does_not_take_its_line_along(tmp_path: Path) -> None:
    """A call that is cancelled while its line waits is in the audit all the same, and so are the others."""

    async def cancel_one() -> None:
        async with Audit(tmp_path / "audit") as audit:
            first = asyncio.create_task(audit.write(entry("a")))
            second = asyncio.create_task(audit.write(entry("b")))
            await asyncio.sleep(0)
            first.cancel()
            await second
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(cancel_one())
    assert jobs_in(tmp_path / "audit") == ["a", "b"]


def test_a_file_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    """A server does not start without its audit, and says which file it is."""
    with pytest.raises(FailedPrecondition, match=str(tmp_path)):
        Audit(tmp_path)
