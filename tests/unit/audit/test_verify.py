from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from jsched.audit import chain
from jsched.audit.chain import ORIGIN, Link, seal
from jsched.audit.line import body
from jsched.audit.verify import verify, verify_tail
from jsched.audit.walk import Report

COUNT = 9


@pytest.fixture
def lines() -> list[bytes]:
    """The lines of a trail that nobody has touched."""
    made, link = [], ORIGIN
    for number in range(COUNT):
        line, link = seal(body({"time": "2026-01-30T09:14:02.113Z", "event": "call", "job": f"j{number}"}), link)
        made.append(line)
    return made


def looked_at(tmp_path: Path, lines: list[bytes], *anchors: Link) -> Report:
    (tmp_path / "audit.jsonl").write_bytes(b"".join(lines))
    return verify([tmp_path / "audit.jsonl"], anchors)


def wrong(report: Report) -> list[str]:
    return [f"{place or 'trail'}: {text}".replace("audit.jsonl ", "") for place, text in report.problems]


def link_of(line: bytes) -> Link:
    read = chain.read(line)
    assert read is not None
    return read.link


def test_an_untouched_trail_is_whole(tmp_path: Path, lines: list[bytes]) -> None:
    """A trail as it was written has no problems and nothing to note, and its anchors hold."""
    report = looked_at(tmp_path, lines, link_of(lines[3]), link_of(lines[-1]))
    assert (report.problems, report.notes, report.lines) == ([], [], COUNT)
    assert report.last is not None
    assert report.last.link == link_of(lines[-1])


def test_files_that_were_put_away_with_gzip(tmp_path: Path, lines: list[bytes]) -> None:
    """Old files that somebody has compressed are read as they are, and what was changed in them is found."""
    old, new = tmp_path / "audit-1.jsonl.gz", tmp_path / "audit.jsonl"
    new.write_bytes(b"".join(lines[4:]))
    old.write_bytes(gzip.compress(b"".join(lines[:4])))
    report = verify([old, new])
    assert (report.problems, report.lines) == ([], COUNT)
    old.write_bytes(gzip.compress(b"".join((lines[0], lines[1].replace(b"j1", b"jX"), *lines[2:4]))))
    assert wrong(verify([old, new])) == [
        "audit-1.jsonl.gz line 2: was changed: its hash is not the one that the next line has"
    ]


@pytest.mark.parametrize("damage", [lambda data: data[:40], lambda data: data[:30] + b"xxxx" + data[34:]])
def test_a_compressed_file_that_is_damaged(
    tmp_path: Path, lines: list[bytes], damage: Callable[[bytes], bytes]
) -> None:
    """A compressed file that was cut off or damaged can't be read, which is said of it."""
    old = tmp_path / "audit-1.jsonl.gz"
    old.write_bytes(damage(gzip.compress(b"".join(lines))))
    with pytest.raises(OSError, match="compressed") as caught:
        verify([old])
    assert caught.value.filename == str(old)


Change = Callable[[list[bytes]], list[bytes]]
CHANGES: dict[str, tuple[Change, list[str]]] = {
    "edited": (
        lambda all: [*all[:4], all[4].replace(b"j4", b"jX"), *all[5:]],
        ["line 5: was changed: its hash is not the one that the next line has"],
    ),
    "first edited": (
        lambda all: [all[0].replace(b"j0", b"jX"), *all[1:]],
        ["line 1: was changed: its hash is not the one that the next line has"],
    ),
    "hash edited": (
        lambda all: [*all[:4], all[4][:-20] + b"0000" + all[4][-16:], *all[5:]],
        ["line 5: was changed: neither the line before nor the next one fits it"],
    ),
    "number edited": (
        lambda all: [*all[:4], all[4].replace(b'"seq":5', b'"seq":7'), *all[5:]],
        ["line 5: was changed: it has the number 7, and follows 4"],
    ),
    "two edited": (
        lambda all: [all[0], all[1].replace(b"j1", b"jX"), *all[2:6], all[6].replace(b"j6", b"jX"), *all[7:]],
        [
            "line 2: was changed: its hash is not the one that the next line has",
            "line 7: was changed: its hash is not the one that the next line has",
        ],
    ),
    "deleted": (lambda all: [*all[:4], *all[5:]], ["line 5: has the number 6: line 5 is missing before it"]),
    "three deleted": (
        lambda all: [*all[:2], *all[5:]],
        ["line 3: has the number 6: the lines 3 to 5 are missing before it"],
    ),
    "swapped": (
        lambda all: [*all[:3], all[4], all[3], *all[5:]],
        [
            "line 4: has the number 5: line 4 is missing before it",
            "line 5: has the number 4 after 5: it was moved or put in",
        ],
    ),
    "doubled": (lambda all: [*all[:4], *all[3:]], ["line 5: has the number 4 after 4: it was moved or put in"]),
    "garbled": (lambda all: [*all[:4], b"garbage\n", *all[5:]], ["line 5: can't be read: it was changed or damaged"]),
    "put in": (
        lambda all: [*all[:4], b'{"job":"j9"}\n', *all[4:]],
        ["line 5: is no line of the trail: it was changed, put in or damaged"],
    ),
    "cut in the middle": (
        lambda all: [*all[:4], all[4][:50], *all[6:]],
        [
            "line 5: is no line of the trail: it was changed, put in or damaged",
            "line 6: has the number 8: the lines 5 to 7 are missing before it",
        ],
    ),
    "beginning deleted": (
        lambda all: all[2:],
        ["trail: the beginning is missing: the first line that is here has the number 3"],
    ),
    "emptied line": (
        lambda all: [*all[:4], b"\n", *all[5:]],
        ["line 5: can't be read: it was changed or damaged"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_at_its_line(tmp_path: Path, lines: list[bytes], name: str) -> None:
    """Whatever is done to the middle of a trail is found, at the line where it was done, and said once."""
    change, findings = CHANGES[name]
    assert wrong(looked_at(tmp_path, change(lines))) == findings


def test_each_byte_counts(tmp_path: Path, lines: list[bytes]) -> None:
    """No byte of a line but the last one can be changed without being found."""
    data = bytearray(b"".join(lines[:3]))
    for position in range(len(data) - len(lines[2])):
        data[position] ^= 0x01
        assert looked_at(tmp_path, [bytes(data)]).problems, position
        data[position] ^= 0x01


def test_an_end_that_is_cut_off_shows_against_an_anchor(tmp_path: Path, lines: list[bytes]) -> None:
    """Without its last lines a trail is whole by itself, and not against an anchor."""
    assert looked_at(tmp_path, lines[:-2]).problems == []
    assert wrong(looked_at(tmp_path, lines[:-2], link_of(lines[-1]))) == [
        f"trail: the end was cut off: the last line has the number {COUNT - 2}, and there was a line {COUNT}"
    ]


def test_an_anchor_of_a_line_that_is_not_there_was_not_found(tmp_path: Path, lines: list[bytes]) -> None:
    """An anchor from before the beginning is said not to be checked, and is a problem if it was to be there."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(lines[4:]))
    beginning, early, forged = link_of(lines[3]), link_of(lines[1]), Link(2, "0" * 64)
    for anchor in (early, forged):
        assert wrong(verify([path], [beginning], [anchor])) == [
            f"trail: the anchor {anchor} can't be checked: the trail begins with line 5"
        ]
    report = verify([path], [beginning, early])
    assert report.problems == []
    assert "1 anchor is of a line before the first one, and not checked" in [text for _, text in report.notes]
    other = Link(4, "0" * 64)
    assert f"trail: line 4 was not the one that the first line follows: {other}" in wrong(verify([path], [other]))


def test_a_chain_made_anew_shows_against_an_anchor(tmp_path: Path, lines: list[bytes]) -> None:
    """Who makes all later hashes fit is found by an anchor of any line from the change on."""
    forged, link = lines[:4], link_of(lines[3])
    for number in range(4, COUNT):
        line, link = seal(body({"event": "call", "job": f"forged{number}"}), link)
        forged.append(line)
    assert looked_at(tmp_path, forged).problems == []
    assert wrong(looked_at(tmp_path, forged, link_of(lines[2]))) == []
    assert wrong(looked_at(tmp_path, forged, link_of(lines[6]))) == [
        "line 7: is not the line 7 that was written: an anchor has another hash"
    ]


def test_a_last_line_that_was_changed_shows_against_an_anchor(tmp_path: Path, lines: list[bytes]) -> None:
    """The last line, which no other line vouches for, is compared with its anchor."""
    changed = [*lines[:-1], lines[-1].replace(b"j8", b"jX")]
    assert looked_at(tmp_path, changed).problems == []
    assert wrong(looked_at(tmp_path, changed, link_of(lines[-1]))) == [
        "line 9: is not the line 9 that was written: an anchor has another hash"
    ]


def test_the_last_two_lines_can_not_be_told_apart(tmp_path: Path, lines: list[bytes]) -> None:
    """Where the last but one was changed no line tells which of the two it was, and that is what is said."""
    changed = [*lines[:-2], lines[-2].replace(b"j7", b"jX"), lines[-1]]
    assert wrong(looked_at(tmp_path, changed)) == ["line 8: was changed, or the next one was: their hashes do not fit"]


def test_a_line_that_is_just_being_written_is_no_problem(tmp_path: Path, lines: list[bytes]) -> None:
    """A last line without its line break is noted."""
    report = looked_at(tmp_path, [*lines[:-1], lines[-1][:40]])
    assert report.problems == []
    assert [text for _, text in report.notes] == ["is cut off after 40 bytes: a crash, or it is just being written"]


def test_a_torn_line_that_the_next_one_tells_of(tmp_path: Path, lines: list[bytes]) -> None:
    """A line that was cut off is accepted if the next one says so, and not once it is changed or gone."""
    torn = b'{"seq":10,"time":"20'
    told, _ = seal(body({"event": "call"}), link_of(lines[-1]), chain.skipping(torn))
    report = looked_at(tmp_path, [*lines, torn + b"\n", told])
    assert report.problems == []
    assert [(str(place), text) for place, text in report.notes] == [
        ("audit.jsonl line 10", "was cut off after 20 bytes when a server ended; the next line says so")
    ]
    for between in (b"", b'{"seq":10,"time":"19\n', torn + b"x\n"):
        assert "20 bytes that stood before it are missing, or were changed" in str(
            looked_at(tmp_path, [*lines, between, told]).problems
        )


def test_a_whole_line_that_is_none_of_the_trail_is_no_line_that_was_cut_off(tmp_path: Path, lines: list[bytes]) -> None:
    """What stood there with its line break when a server came is foreign, also if that server tells of it."""
    foreign = b"junk\n"
    told, _ = seal(body({"event": "call"}), link_of(lines[-1]), chain.skipping(foreign))
    assert wrong(looked_at(tmp_path, [*lines, foreign, told])) == [
        "line 10: 5 bytes are no lines of the trail; a server found them when it started"
    ]


def test_a_line_that_tells_of_nothing(tmp_path: Path, lines: list[bytes]) -> None:
    """A line that vouches for no bytes at all is nothing that a server writes, and is found like any other change."""
    forged, _ = seal(body({"event": "call"}), link_of(lines[3]), chain.skipping(b""))
    report = looked_at(tmp_path, [*lines[:4], forged])
    assert wrong(report) == ["line 5: 0 bytes that stood before it are missing, or were changed"]


def test_a_trail_of_a_version_without_a_chain(tmp_path: Path) -> None:
    """Lines from before there was a chain are vouched for as a whole by the first line of it."""
    old = b'{"user":"alice"}\n{"user":"bob"}\n'
    first, link = seal(body({"event": "call"}), ORIGIN, chain.skipping(old))
    second, _ = seal(body({"event": "call"}), link)
    report = looked_at(tmp_path, [old, first, second])
    assert report.problems == []
    assert "32 bytes of a version without a chain" in report.notes[0].text
    assert looked_at(tmp_path, [old.replace(b"bob", b"eve"), first, second]).problems


def test_files_are_one_trail(tmp_path: Path, lines: list[bytes]) -> None:
    """A chain goes on from file to file; a file that is missing between two, or at the beginning, is found."""
    files = []
    for number, part in enumerate((lines[:3], lines[3:6], lines[6:])):
        files.append(tmp_path / f"{number}.jsonl")
        files[-1].write_bytes(b"".join(part))
    assert verify(files).problems == []
    assert wrong(verify([files[0], files[2]])) == [
        "2.jsonl line 1: has the number 7: the lines 4 to 6 are missing before it"
    ]
    assert wrong(verify(files[1:])) == ["trail: the beginning is missing: the first line that is here has the number 4"]
    assert verify(files[1:], [link_of(lines[2])]).problems == []
    files[1].write_bytes(b"".join(lines[3:6]).replace(b"j5", b"jX"))
    assert wrong(verify(files)) == ["1.jsonl line 3: was changed: its hash is not the one that the next line has"]


def test_the_end_of_a_file_alone(tmp_path: Path, lines: list[bytes]) -> None:
    """The last lines of a file are verified among themselves, from the first whole one on."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(lines))
    report = verify_tail(path, len(lines[-1]) + len(lines[-2]) + 10)
    assert (report.problems, report.lines) == ([], 2)
    path.write_bytes(b"".join(lines).replace(b"j7", b"jX"))
    assert verify_tail(path, 1000).problems
    assert verify_tail(path, 10**6).problems
