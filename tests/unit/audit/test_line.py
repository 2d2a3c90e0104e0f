from __future__ import annotations

import hashlib
import json
import random

import pytest

from jsched.audit.chain import ORIGIN, seal
from jsched.audit.line import MAX_FIELD, MAX_LINE, command_line, names, shorten, timestamp
from jsched.server.audit_entry import Entry

NASTY = ["a\nb", "\r", "\x00\x1b[2J\x7f", "\u202e\u2066\u200f", "\u2028\u2029\x85", "\udc80", '"\\', "😀"]


@pytest.mark.parametrize("text", NASTY)
def test_one_line_stays_one_line(text: str) -> None:
    """Whatever stands in a field, the line is printable ASCII and gives the same text back."""
    line, _ = seal(Entry("m", text, 0.0, user=text, reason=text, argv=[text], env=[text]).body(), ORIGIN)
    assert line.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    fields = json.loads(line)
    assert [fields["user"], fields["argv"], fields["env"]] == [text, [text], [text]]


@pytest.mark.parametrize("text", ["x", "ä", "😀", '"', "\n"])
def test_a_line_stays_small_whatever_is_sent(text: str) -> None:
    """With every field far too long, and of characters that take up to twelve bytes each, a line has its bound."""
    long = text * 100_000
    entry = Entry(
        long, long, 0.0, user=long, role=long, serial=long, verb=long, job=long, rootfs=long, rule=long, reason=long
    )
    entry.argv, entry.env, entry.opened_seq = [long, long], [long], 10**12
    line, _ = seal(entry.body(), ORIGIN)
    assert len(line) <= MAX_LINE
    assert json.loads(line)["peer"].endswith("...")


def test_texts_are_cut_to_the_bytes_that_they_take() -> None:
    """A text is left as it is if it fits, and else the longest beginning that fits ends with dots."""
    assert shorten("x" * MAX_FIELD, MAX_FIELD) == "x" * MAX_FIELD
    assert shorten("x" * (MAX_FIELD + 1), MAX_FIELD) == "x" * (MAX_FIELD - 3) + "..."
    assert shorten("😀" * 17, 200) == "😀" * 16 + "..."
    assert shorten("\n" * 100, 200) == "\n" * 100


def test_a_command_line_is_whole_if_it_fits() -> None:
    """A short command line is there word for word, and nothing says that anything was left out."""
    assert command_line(["sh", "-c", "echo 'a b'"]) == {"argv": ["sh", "-c", "echo 'a b'"]}


def test_a_long_command_line_says_what_is_left_out() -> None:
    """Of a long one the beginning is there, the number of bytes left out, and the hash of /proc/PID/cmdline."""
    argv = ["sh", "-c", "ä" * 5000, "last"]
    fields = command_line(argv)
    whole = b"\0".join(one.encode() for one in argv) + b"\0"
    assert fields["argv"][:2] == ["sh", "-c"]
    shown = fields["argv"][2].removesuffix("...")
    assert argv[2].startswith(shown)
    kept = len(b"sh\0-c\0" + shown.encode())
    assert fields["argv_left_out"] == len(whole) - kept
    assert fields["argv_sha256"] == hashlib.sha256(whole).hexdigest()


def test_command_lines_of_any_shape_fit() -> None:
    """Random words, many or long, make fields of a bounded size whose words are beginnings of the real ones."""
    chance = random.Random(4)
    for _ in range(200):
        argv = [
            "".join(chance.choices('aä😀"\n\\ ', k=chance.choice([0, 1, 5, 300])))
            for _ in range(chance.randint(1, 300))
        ]
        fields = command_line(argv)
        assert len(json.dumps(fields["argv"], separators=(",", ":"))) <= 1210
        assert all(real.startswith(one.removesuffix("...")) for one, real in zip(fields["argv"], argv, strict=False))
        assert fields["argv"] == argv or fields["argv_left_out"] > 0


def test_names_that_do_not_fit_are_not_hidden() -> None:
    """Of many names the first ones are there, and dots say that there are more."""
    assert names(["A", "B"]) == ["A", "B"]
    many = names([f"NAME{number}" for number in range(1000)])
    assert many[:2] == ["NAME0", "NAME1"]
    assert many[-1] == "..."
    assert len(json.dumps(many)) < 300


def test_times_are_utc_to_the_millisecond() -> None:
    """A time is what RFC 3339 makes of it."""
    assert timestamp(1_600_000_000.25) == "2020-09-13T12:26:40.250Z"
